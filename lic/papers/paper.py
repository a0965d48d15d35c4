"""A paper's figures of its networks, beside the costs of live ones."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from lic.console import plain_table
from lic.metrics.complexity import LayerCost
from lic.models import full_options

Options = Mapping[str, Any]
"""Keywords of `lic.models.build_model`."""


@dataclass(frozen=True, eq=False)
class Paper:
    """A paper and its networks, by the names that it gives them.

    ``network_table`` shows them with what the paper prints, and the chosen model below unless it is one of
    them. The layers are listed for inputs of ``side`` pixels a side. ``layers`` is the paper's table of
    layers, if it has one, and ``layer_note`` says where that differs from the layers of a live network.
    ``images_per_second`` are printed speeds of decoding by the networks' names; ``speed_note`` says of what
    they are. ``images`` are printed qualities of single images by the networks' names and the images', each
    by the names of measures; ``image_note`` says of what they are.
    """

    networks: Mapping[str, Options]
    network_table: Callable[[Options], Table]
    side: int = 256
    layers: str = ""
    layer_note: Callable[[Options, Sequence[LayerCost]], str | None] = lambda options, costs: None
    images_per_second: Mapping[str, float] = field(default_factory=dict)
    speed_note: str = ""
    images: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    image_note: str = ""

    @property
    def models(self) -> set[str]:
        """The families of its networks."""
        return {options["name"] for options in self.networks.values()}

    def decoding_speed(self, options: Options) -> float:
        """Images per second that the paper decodes with a network, NaN if it says none."""
        return self.images_per_second.get(network_called(self.networks, options) or "", math.nan)

    def image_quality(self, options: Options, file: str) -> Mapping[str, float]:
        """What the paper prints of the image that a file's name says, by the names of measures; often empty.

        Colours and numbers in the name are passed over: "gray_lenna_512" is lenna. The network is of the same
        family and of as many channels, whatever its other options.
        """
        for network, images in self.images.items():
            if _kind(self.networks[network]) == _kind(options):
                name = file.casefold()
                return images.get(name) or images.get(re.sub(r"colou?r|gr[ae]y|[\W\d_]", "", name)) or {}
        return {}


def _kind(options: Options) -> tuple[Any, Any]:
    return options["name"], options.get("channels", 3)


def network_columns(title: str, caption: str, headings: Sequence[str]) -> Table:
    """A table without rows: networks by their names, and a column of numbers for each heading."""
    view = plain_table(title, caption)
    view.add_column("network", overflow="fold")
    for heading in headings:
        view.add_column(heading, justify="right", no_wrap=True)
    return view


def network_called(networks: Mapping[str, Options], options: Options) -> str | None:
    """The name of a network among those of a paper; None if it is none of them."""
    wanted = full_options(**options)
    return next((name for name, known in networks.items() if full_options(**known) == wanted), None)


def is_as_printed(value: float, printed: str) -> bool:
    """Whether ``value`` rounds to a paper's three digits."""
    return float(f"{value:.2e}") == float(printed)


def scientific(value: int) -> str:
    """Three digits, as papers print large numbers."""
    return f"{value:.2e}".replace("e+0", "e").replace("e+", "e")
