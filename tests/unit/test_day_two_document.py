"""docs/day-two.md says of each drill which tests walk it; they are there."""

import re

from tests.kit.queries import ROOT

_TEXT = (ROOT / "docs" / "day-two.md").read_text()


def test_every_drill_names_tests_that_exist() -> None:
    drills = _TEXT.split("\n## ")[2:]
    assert len(drills) >= 6
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for drill in drills:
        named = re.findall(r"`(test_\w+)`", drill)
        assert named, drill.partition("\n")[0]
        assert [name for name in named if f"def {name}(" not in sources] == []
