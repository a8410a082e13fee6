"""The two networks of the face stage, their targets and losses.

*Detector*: fully convolutional; a picture of any size in multiples of 32 px gives, at strides 8, 16 and 32, a map of
(H / stride, W / stride, 6): logit that a face is centred here, centre offset x and y in strides, log of box side over
four strides, and the cosine and sine of its roll. *Landmarks*: an upright crop (128, 128, 3) around a box gives 142
points in crop sides from the middle, and the logit that the crop shows a face.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from analyzer.face_crops import CROP_PX
from analyzer.face_network import STRIDES

POINTS = 142
FOCUS, POSITIVE_SHARE = 2.0, 0.35  # gamma and alpha of the focal loss (Lin et al. 2017)
RARE_LOGIT = -4.0  # of the first answer: faces are rare
SMALL_ERROR = 0.01  # crop sides below which the landmark loss is square


def detector() -> keras.Model:
    picture = keras.Input((None, None, 3), name="picture")  # float32, 0..255
    x = layers.Rescaling(1 / 127.5, -1)(picture)
    x = _convolved(_convolved(x, 16, 2), 24, 2)
    x = _residual(x)
    fine = _residual(_residual(_convolved(x, 48, 2)))
    middle = _residual(_residual(_convolved(fine, 64, 2)))
    coarse = _residual(_convolved(middle, 96, 2))
    top = _convolved(coarse, 48, 1, size=1)
    mean = layers.Add()([_convolved(middle, 48, 1, size=1), layers.UpSampling2D()(top)])
    low = layers.Add()([fine, layers.UpSampling2D()(_convolved(mean, 48, 1, size=1))])
    maps = {
        f"stride_{stride}": _answer(x, f"stride_{stride}") for stride, x in zip(STRIDES, (low, mean, top), strict=True)
    }
    return keras.Model(picture, maps, name="detector")


def landmarks() -> keras.Model:
    crop = keras.Input((CROP_PX, CROP_PX, 3), name="crop")  # float32, 0..255
    x = layers.Rescaling(1 / 127.5, -1)(crop)
    x = _convolved(_convolved(x, 16, 2), 32, 2)
    x = _residual(x)
    x = _residual(_residual(_convolved(x, 48, 2)))
    x = _residual(_residual(_convolved(x, 72, 2)))
    x = _residual(_convolved(x, 96, 2))
    places = layers.Flatten()(_convolved(x, 48, 1, size=1))
    points = layers.Dense(2 * POINTS, name="points")(places)
    face = layers.Dense(1, name="face")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(crop, {"points": points, "face": face}, name="landmarks")


def detector_loss(truth: keras.KerasTensor, answer: keras.KerasTensor) -> keras.KerasTensor:
    """Focal loss of the logits plus L1 of place, size and roll on the cells that must answer, per such cell."""
    label, weight, known = truth[..., 0], truth[..., 1], truth[..., 7:8]
    positives = ops.maximum(ops.sum(label), 1.0)
    place = ops.sum(ops.abs(truth[..., 2:5] - answer[..., 1:4]), axis=-1)
    roll = ops.sum(known * ops.abs(truth[..., 5:7] - answer[..., 4:6]), axis=-1)
    return (ops.sum(weight * focal(label, answer[..., 0])) + ops.sum(label * (place + roll))) / positives


def focal(label: keras.KerasTensor, logit: keras.KerasTensor) -> keras.KerasTensor:
    """Focal loss of each logit (Lin et al. 2017, eq. 5)."""
    probability = ops.sigmoid(logit)
    right = ops.where(label > 0.5, probability, 1 - probability)
    share = ops.where(label > 0.5, POSITIVE_SHARE, 1 - POSITIVE_SHARE)
    entropy = ops.softplus(logit) - label * logit
    return share * (1 - right) ** FOCUS * entropy


def landmark_loss(truth: keras.KerasTensor, answer: keras.KerasTensor) -> keras.KerasTensor:
    """Huber loss of the points in hundredths of the crop side; crops without known points (nan) count nothing."""
    known = ops.logical_not(ops.any(ops.isnan(truth), axis=-1))
    error = ops.abs(ops.where(ops.isnan(truth), 0.0, truth) - answer)
    each = ops.where(error < SMALL_ERROR, 0.5 * error**2 / SMALL_ERROR, error - 0.5 * SMALL_ERROR)
    known = ops.cast(known, answer.dtype)
    return 100.0 * ops.sum(known * ops.mean(each, axis=-1)) / ops.maximum(ops.sum(known), 1.0)


def _convolved(x: keras.KerasTensor, channels: int, stride: int, size: int = 3) -> keras.KerasTensor:
    x = layers.Conv2D(channels, size, strides=stride, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.98)(x))


def _residual(x: keras.KerasTensor) -> keras.KerasTensor:
    y = _convolved(x, x.shape[-1], 1)
    y = layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=False)(y)
    return layers.ReLU()(layers.Add()([x, layers.BatchNormalization(momentum=0.98)(y)]))


def _answer(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = _convolved(x, 48, 1)
    logit = layers.Conv2D(1, 1, bias_initializer=keras.initializers.Constant(RARE_LOGIT))(x)
    return layers.Concatenate(name=name)([logit, layers.Conv2D(5, 1)(x)])
