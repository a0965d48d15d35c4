"""``python -m lic.cli``: the command `lic` of this interpreter."""

from lic.cli import main

main()
