"""Says whether a JSON document fits a JSON Schema (2020-12), with PyPI's jsonschema.

    json_schema_check.py SCHEMA DOCUMENT

Exit code 0: it fits; 4: it does not, with every violation on stdout. The schema itself is checked first; a wrong
schema is an error of ours and not a refusal (exit code 1).
"""

import json
import sys

from jsonschema import Draft202012Validator

REFUSED = 4


def main(schema_file, document_file):
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    with open(document_file, encoding="utf-8") as file:
        document = json.load(file)
    Draft202012Validator.check_schema(schema)
    violations = list(Draft202012Validator(schema).iter_errors(document))
    for violation in violations:
        print(f"{violation.json_path}: {violation.validator}")
    return REFUSED if violations else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
