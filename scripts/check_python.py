"""Say in one line what is missing before anything is installed. Runs on any Python 3, with nothing of ours."""

import importlib.util
import sys

if sys.version_info < (3, 11):  # noqa: UP036 (the very Python that must be told so runs this file)
    sys.exit("heartbench needs Python 3.11 or newer, this is %d.%d; try: make PYTHON=python3.11" % sys.version_info[:2])
if importlib.util.find_spec("ensurepip") is None:
    sys.exit("this Python cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv")
