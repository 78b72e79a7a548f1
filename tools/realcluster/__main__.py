"""`python3 -m tools.realcluster up|engine|down|status|env`."""

import sys

from tools.realcluster import cli

if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
