"""Prints what the crash sweep covered at the end of the run, from whichever worker ran it."""

import pytest

_PROPERTY = "crash coverage"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    lines = [
        text
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, text in report.user_properties
        if name == _PROPERTY
    ]
    if lines:
        terminalreporter.section("crash at every await")
        for text in lines:
            terminalreporter.write_line(str(text))
