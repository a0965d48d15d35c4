"""The LightningModules: loss, optimizer, steps. No architecture, no metric formula."""

from lic.codecs.rate_distortion import RateDistortionCodec, TrainingDivergedError

__all__ = ["RateDistortionCodec", "TrainingDivergedError"]
