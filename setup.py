"""The text of the package's page: README.md without what only leads somewhere in a checkout."""

import re
from pathlib import Path

from setuptools import setup

_RELATIVE = r"\((?!https?://|#)[^)]*\)"

page = Path("README.md").read_text("utf-8")
page = re.sub(rf"!\[[^]]*\]{_RELATIVE}\n\n\*[^*]+\*\n\n", "", page)  # a picture and its caption
page = re.sub(rf"\[([^]]+)\]{_RELATIVE}", r"\1", page)

setup(long_description=page, long_description_content_type="text/markdown")
