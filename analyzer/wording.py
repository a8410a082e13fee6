"""Sentences for people: what was seen and what may help. A cosmetic tool: nothing here names a disease as a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analyzer.vocabulary import Abstention, ConditionName, Region, Severity

TITLES: Mapping[ConditionName, str] = {
    ConditionName.ACNE: "Blemishes",
    ConditionName.REDNESS: "Redness",
    ConditionName.DARK_SPOTS: "Dark spots",
    ConditionName.TEXTURE: "Uneven texture",
    ConditionName.PORES: "Visible pores",
    ConditionName.WRINKLES: "Lines and wrinkles",
    ConditionName.PIGMENTATION: "Uneven pigmentation",
    ConditionName.UNDER_EYE: "Under-eye shadows or puffiness",
}

DEGREES: Mapping[Severity, str] = {
    Severity.NONE: "not noticeable",
    Severity.MINIMAL: "hardly noticeable",
    Severity.LOW: "slightly noticeable",
    Severity.MODERATE: "clearly noticeable",
    Severity.HIGH: "strongly noticeable",
}

# Where something is seen. Left and right are those of the picture: the person's own right is on its left.
PLACES: Mapping[Region, str] = {
    Region.FOREHEAD: "on the forehead",
    Region.NOSE: "on the nose",
    Region.CHIN: "on the chin",
    Region.PERIORAL: "around the mouth",
    Region.LEFT_CHEEK: "on the cheek at the left of the picture",
    Region.RIGHT_CHEEK: "on the cheek at the right of the picture",
    Region.LEFT_UNDER_EYE: "under the eye at the left of the picture",
    Region.RIGHT_UNDER_EYE: "under the eye at the right of the picture",
    Region.LEFT_CROWS_FEET: "in the crow's feet at the left of the picture",
    Region.RIGHT_CROWS_FEET: "in the crow's feet at the right of the picture",
    Region.LEFT_NASOLABIAL: "along the smile line (nasolabial) at the left of the picture",
    Region.RIGHT_NASOLABIAL: "along the smile line (nasolabial) at the right of the picture",
    Region.WHOLE: "all over the picture",
}


@dataclass(frozen=True)
class Advice:
    """Advice for one condition: `actions` from low on, `products` and `habits` from low on, `professional` from its severity on."""

    actions: tuple[str, ...]
    habits: tuple[str, ...]
    products: tuple[str, ...]
    professional: str
    professional_from: Severity


SUNSCREEN = "Use a broad-spectrum sunscreen of SPF 30 or more every day, also on cloudy days."
TONE_PRODUCTS = "Products with vitamin C, niacinamide or azelaic acid."

ADVICE: Mapping[ConditionName, Advice] = {
    ConditionName.ACNE: Advice(
        ("Wash with a mild, soap-free cleanser twice a day and do not squeeze blemishes.",),
        ("Change pillow cases often and keep hair products off the face.",),
        ("A non-comedogenic moisturiser; products with salicylic acid or benzoyl peroxide, started slowly.",),
        "If blemishes are painful, leave scars or do not improve in 8 to 12 weeks, ask a dermatologist.",
        Severity.MODERATE,
    ),
    ConditionName.REDNESS: Advice(
        ("Rinse with lukewarm water and leave out scrubs and alcohol-based toners for now.",),
        ("Note what makes the redness worse: heat, sun, spicy food, alcohol or a new product.",),
        ("A fragrance-free moisturiser; products with niacinamide, azelaic acid or panthenol.",),
        "If redness stays, burns or comes with bumps or visible vessels, ask a dermatologist.",
        Severity.MODERATE,
    ),
    ConditionName.DARK_SPOTS: Advice(
        (SUNSCREEN,),
        ("Stay out of the midday sun and do not scratch spots.",),
        (TONE_PRODUCTS,),
        "Show a doctor any spot that is new, grows, bleeds, itches or has several colours or an uneven edge.",
        Severity.LOW,
    ),
    ConditionName.TEXTURE: Advice(
        ("Cleanse gently and moisturise while the skin is still damp.",),
        ("Wash with lukewarm water and pat the skin dry instead of rubbing it.",),
        ("A mild exfoliant with lactic or glycolic acid once or twice a week; a moisturiser with ceramides.",),
        "If roughness or scars trouble you, a dermatologist can explain treatments.",
        Severity.HIGH,
    ),
    ConditionName.PORES: Advice(
        ("Remove make-up and sunscreen in the evening.",),
        ("Keep the routine simple; heavy creams make pores look larger.",),
        ("A product with salicylic acid or niacinamide; oil-free sunscreen.",),
        "If pores are often clogged or inflamed, ask a dermatologist.",
        Severity.HIGH,
    ),
    ConditionName.WRINKLES: Advice(
        (SUNSCREEN,),
        ("Do not smoke, and wear sunglasses in bright light.",),
        (
            "A retinol product in the evening, started slowly (not during pregnancy); a moisturiser with hyaluronic acid.",
        ),
        "If lines trouble you, a dermatologist can explain treatments and their limits.",
        Severity.HIGH,
    ),
    ConditionName.PIGMENTATION: Advice(
        (SUNSCREEN,),
        ("Wear a hat in the sun; heat and light deepen uneven tone.",),
        (TONE_PRODUCTS,),
        "If patches spread or appeared during pregnancy or with a new medicine, ask a doctor.",
        Severity.MODERATE,
    ),
    ConditionName.UNDER_EYE: Advice(
        ("Cool the area for a few minutes in the morning.",),
        ("Sleep enough and lie with the head slightly raised; drink enough and go easy on salt.",),
        ("An eye cream with caffeine or peptides; sunscreen around the eyes.",),
        "If swelling is new, one-sided, painful or stays all day, ask a doctor.",
        Severity.HIGH,
    ),
}

GENERAL_CARE = (
    "Keep up a simple routine: mild cleanser, moisturiser, sunscreen.",
    "Repeat the photo in the same light after some weeks to see a change.",
)
WATCH = "See a doctor about any spot that is new, changes, bleeds or does not heal, whatever this report says."
DEEP_TONE_NOTE = (
    "On deeper skin tones blemishes often leave dark marks; treat them early and gently, and use sunscreen."
)
FAIR_TONE_NOTE = "Skin that burns easily needs a high sun protection (SPF 50) and shade."
AGE_NOTE = "Some fine lines are a normal part of skin at every age."

DISCLAIMER = (
    "This is a cosmetic estimate from one photo, not a medical examination. It can miss or overstate things. "
    "For anything that worries you, see a doctor."
)


# What the trained model says beside the measurements (docs/ensemble.md).
SEE_A_PROFESSIONAL = "Have this looked at by a professional."
MODEL_SEES_NOTHING = "The trained model sees nothing noticeable in this photo."
NOT_MEASURED_KIND = (
    "The trained model would have this skin looked at by a professional; the measurements cannot judge that."
)
NOT_COMPARABLE = "What the trained model looks for could not be measured in this photo, so the two cannot be compared."
ABSTENTIONS: Mapping[Abstention, str] = {
    Abstention.UNFAMILIAR: "The trained model does not judge this photo, because it is unlike the pictures that it learned from.",
    Abstention.UNDECIDED: "The trained model is not sure enough to judge this photo.",
}
UNPROVEN = "The trained model has not proved itself yet, so it takes no part in this report."


def model_sees(names: Sequence[ConditionName]) -> str:
    """``The trained model sees blemishes in this photo.``."""
    return f"The trained model sees {_titles(names)} in this photo."


def both_see(names: Sequence[ConditionName]) -> str:
    """Model and measurements find the same conditions."""
    return f"The trained model and the measurements both see {_titles(names)}."


def both_see_no(names: Sequence[ConditionName]) -> str:
    """Neither finds any of these conditions."""
    return f"The trained model and the measurements agree that none of this is noticeable: {_titles(names)}."


def seen_otherwise(
    both: Sequence[ConditionName], by_model: Sequence[ConditionName], by_measurements: Sequence[ConditionName]
) -> str:
    """What both find, then what only one of them finds; not all of these are empty."""
    parts = []
    if by_model:
        parts.append(f"the trained model sees {_titles(by_model)} and the measurements do not")
    if by_measurements:
        parts.append(f"the measurements find {_titles(by_measurements)} and the trained model does not")
    told = "; ".join([*parts, "severity and score follow the measurements"])
    return f"{both_see(both) + ' ' if both else ''}{told[:1].upper()}{told[1:]}."


def model_grades(name: ConditionName, probability: float, severity: Severity) -> str:
    """Description of a condition that the model lists with a severity; `probability` in 0..1."""
    return f"{TITLES[name]}: {DEGREES[severity]} in the trained model's own view ({probability:.0%} probable)."


def model_lists(name: ConditionName, probability: float) -> str:
    """Description of a condition that the model lists; `probability` in 0..1."""
    return f"{TITLES[name]}: the trained model's own view ({probability:.0%} probable), which measures no severity."


def join(parts: Sequence[str]) -> str:
    """``one``, ``one and two``, ``one, two and three``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _titles(names: Sequence[ConditionName]) -> str:
    return join([TITLES[name].lower() for name in names])


def count_spots(count: int) -> str:
    """``1 spot``, ``2 spots``."""
    return f"{count} {'spot' if count == 1 else 'spots'}"


def describe(name: ConditionName, severity: Severity) -> str:
    """One sentence about a finding, such as ``Blemishes: clearly noticeable``."""
    return f"{TITLES[name]}: {DEGREES[severity]}."
