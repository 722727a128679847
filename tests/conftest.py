"""In CI a skipped test is a failed one: what is skipped there would never run anywhere.

And at the end of a run, what the crash sweep covered is printed, whichever worker ran it: of all conftests, this is the
one that the process that prints has read.
"""

import os
from collections.abc import Generator
from typing import Any

import pytest

_WHY = "skipped, and in CI (the variable CI is set) nothing may be: "


def _as_failure(report: Any) -> None:
    """Turn a skip into a failure; an expected failure (xfail) stays what it is."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{_WHY}{reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _as_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole file that skips itself."""
    report = yield
    _as_failure(report)
    return report


_COVERAGE = "crash coverage"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    lines = [
        text
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, text in report.user_properties
        if name == _COVERAGE
    ]
    if lines:
        terminalreporter.section("crash at every await")
        for text in lines:
            terminalreporter.write_line(str(text))
