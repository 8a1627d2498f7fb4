"""Runs workflows in pypushflow with its recorder. One argument, JSON: a list of {"class", "inputs", "db_options"}.

Without `db_options` pypushflow's environment variables decide, as for its users. What a workflow raises is printed, a line each.
"""

import json
import logging
import os
import sys


def main(requests):
    import recorded
    from pypushflow.persistence import init_db_client

    for request in requests:
        try:
            workflow = getattr(recorded, request["class"])(request["class"])
            if request.get("db_options"):
                workflow.db_client = init_db_client(**request["db_options"])
            workflow.run(request["inputs"], timeout=60, max_workers=1, scaling_workers=False, context="spawn")
        except Exception as error:
            print("%s: %s" % (type(error).__name__, error), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:0] = [here, os.path.join(os.path.dirname(here), "parity")]
    main(json.loads(sys.argv[1]))
