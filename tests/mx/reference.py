"""Runs a workflow in pypushflow with its recorder. One argument, JSON: {"class", "inputs", "db_options"}.

Without `db_options` pypushflow's environment variables decide, as for its users.
"""

import json
import logging
import os
import sys


def main(request):
    import recorded
    from pypushflow.persistence import init_db_client

    workflow = getattr(recorded, request["class"])(request["class"])
    if request.get("db_options"):
        workflow.db_client = init_db_client(**request["db_options"])
    workflow.run(request["inputs"], timeout=60, max_workers=1, scaling_workers=False, pool_type="process", context="spawn")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:0] = [here, os.path.join(os.path.dirname(here), "parity")]
    main(json.loads(sys.argv[1]))
