"""What is in config/gateway.schema.json? `python -m gateway.settings.schema_file` prints it."""

import sys

from gateway.settings.json_schema import text

if __name__ == "__main__":
    sys.stdout.write(text())
