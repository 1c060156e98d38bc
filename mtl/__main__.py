"""`python -m mtl`, the same as the console script `mtl`."""

import sys

from mtl.config.search_path import leave_current_folder

if __name__ == "__main__":
    leave_current_folder()  # before anything else is imported

    from mtl.cli.main import main

    sys.exit(main())
