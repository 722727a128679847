"""The CRDs of crds/ as working code: validation, defaulting, unknown fields, printer columns.

The only part of `resources` that reads files or YAML. Callers are the API server and the CLI; the planner may not.
"""

from strata.resources.schema.admission import Verdict, judge_create, judge_status, judge_update
from strata.resources.schema.definition import Column, Definition, definitions, find_definition

__all__ = [
    "Column",
    "Definition",
    "Verdict",
    "definitions",
    "find_definition",
    "judge_create",
    "judge_status",
    "judge_update",
]
