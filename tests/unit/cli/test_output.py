"""What is left out of YAML for people."""

from strata.cli.output import without_empty


def test_empty_texts_are_left_out_but_not_those_that_people_named() -> None:
    image = {"id": "ami-0", "ssmParameter": "", "tags": {"empty": ""}}
    assert without_empty({"images": [image], "none": None, "zero": 0}) == {
        "images": [{"id": "ami-0", "tags": {"empty": ""}}],
        "none": None,
        "zero": 0,
    }
