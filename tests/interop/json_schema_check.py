"""Says whether a JSON document fits a JSON Schema (2020-12), with PyPI's jsonschema.

    json_schema_check.py SCHEMA DOCUMENT

Exit code 0: it fits; 1: it does not, with one line on standard error that begins with "refused:" and names every
violation by its place and rule, never by its value. The schema itself is checked first: a wrong one is a mistake of
ours and ends in a traceback.
"""

import json
import sys

from jsonschema import Draft202012Validator


def main(schema_file, document_file):
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    with open(document_file, encoding="utf-8") as file:
        document = json.load(file)
    Draft202012Validator.check_schema(schema)
    violations = [
        f"{violation.json_path} ({violation.validator})" for violation in Draft202012Validator(schema).iter_errors(document)
    ]
    if violations:
        print("refused: " + ", ".join(violations), file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
