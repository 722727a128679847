"""Progress on a terminal and elsewhere."""

import io

from rich.console import Console

from strata.local.layers import LayerView
from strata.local.progress import layer_table, progress_on


def layer(name: str, *, online: int, starting: int = 0, ready: bool = False, reason: str = "") -> LayerView:
    return LayerView(
        stack="todo", name=name, desired=3, online=online, starting=starting, other=0, ready=ready, reason=reason
    )


def test_elsewhere_a_line_is_written_only_when_something_changed() -> None:
    out = io.StringIO()
    with progress_on(Console(file=out)) as progress:
        progress.say("starting the etcd")
        progress.show([layer("web", online=0, starting=3)])
        progress.show([layer("web", online=0, starting=3)])
        progress.show([layer("web", online=3, ready=True)])
        progress.warn("a word")
    assert out.getvalue().splitlines() == [
        "starting the etcd",
        "todo/web: 0 of 3 online, 3 starting",
        "todo/web: 3 of 3 online",
        "warning: a word",
    ]


def test_on_a_terminal_the_table_is_redrawn_in_place() -> None:
    out = io.StringIO()
    with progress_on(Console(file=out, force_terminal=True, width=100)) as progress:
        progress.show([layer("web", online=1)])
        progress.show([layer("web", online=3, ready=True)])
    assert "\x1b[1A" in out.getvalue()  # the cursor went up, over what was there


def test_the_table_says_why_a_layer_is_not_ready() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(
        layer_table([layer("web", online=1, reason="1 of 3 online"), layer("db", online=3, ready=True)])
    )
    header, web, db = out.getvalue().splitlines()
    assert header.split() == ["STACK", "LAYER", "DESIRED", "ONLINE", "STARTING"]
    assert web.split()[:5] == ["todo", "web", "3", "1", "0"]
    assert web.rstrip().endswith("1 of 3 online")
    assert db.split() == ["todo", "db", "3", "3", "0", "ready"]
