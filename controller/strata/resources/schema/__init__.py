"""The CRDs of crds/ as working code: validation, defaulting, unknown fields, printer columns, explain.

The only part of `resources` that reads files or YAML. Callers are the API server and the CLI; the planner may not.
"""

from strata.resources.schema.admission import Verdict, judge_create, judge_status, judge_update
from strata.resources.schema.definition import Column, Definition, definitions, find_definition
from strata.resources.schema.explain import FieldDoc, explain

__all__ = [
    "Column",
    "Definition",
    "FieldDoc",
    "Verdict",
    "definitions",
    "explain",
    "find_definition",
    "judge_create",
    "judge_status",
    "judge_update",
]
