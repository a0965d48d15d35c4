"""lic: train, sweep, compare and ship learned image codecs."""

from lic import _torchvision

_torchvision.install()
