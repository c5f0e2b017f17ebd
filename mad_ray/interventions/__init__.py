"""What may be done to samples between a model and a training set, and to a model before it publishes."""

from mad_ray.interventions.cherry_pick import CherryPick
from mad_ray.interventions.detector import Detector
from mad_ray.interventions.extrapolation import NegativeGuidance, WeightExtrapolation
from mad_ray.interventions.learnt_detector import LearntDetector
from mad_ray.interventions.mark_detector import MarkDetector
from mad_ray.interventions.reweight_classes import ReweightClasses
from mad_ray.interventions.reweight_density import ReweightDensity
from mad_ray.interventions.reweight_importance import ReweightImportance
from mad_ray.interventions.self_correction import SelfCorrection
from mad_ray.interventions.token_mark import TokenMark
from mad_ray.interventions.watermark import Watermark

INTERVENTIONS: dict[str, type] = {
    "detector": Detector,
    "weight_extrapolation": WeightExtrapolation,
    "negative_guidance": NegativeGuidance,
    "learnt_detector": LearntDetector,
    "reweight_density": ReweightDensity,
    "reweight_classes": ReweightClasses,
    "reweight_importance": ReweightImportance,
    "cherry_pick": CherryPick,
    "self_correction": SelfCorrection,
    "mark_detector": MarkDetector,
    "token_mark": TokenMark,
    "watermark": Watermark,
}
"""By the name a config uses."""

__all__ = [
    "INTERVENTIONS",
    "CherryPick",
    "Detector",
    "LearntDetector",
    "MarkDetector",
    "ReweightClasses",
    "ReweightDensity",
    "ReweightImportance",
    "SelfCorrection",
    "TokenMark",
    "Watermark",
]
