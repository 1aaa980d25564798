"""Weighted moments of two arms over many looks: they add up, and keep small differences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Moments:
    """Weighted means of both arms of any number of looks, and products about them; `+` adds looks.

    Kept about the means, so that nothing is lost where these are large beside the differences.

    Attributes:
        weight: Sum of the weights, shape (...).
        mean: Of candidate and stable, shape (..., 2).
        products: Weighted sums of products of both arms about their means, shape (..., 2, 2).
    """

    weight: Floats
    mean: Floats
    products: Floats

    @classmethod
    def after_each(cls, weight: Floats, means: Floats) -> "Moments":
        """Return the moments after each look.

        Args:
            weight: Shape (..., looks).
            means: Of both arms, shape (..., looks, 2).
        """
        total, column = np.cumsum(weight, -1), weight[..., None]
        whole = np.maximum(total, TINY)[..., None]
        middle = (column * means).sum(-2, keepdims=True) / whole[..., -1:, :]
        off = means - middle
        mean = np.cumsum(column * off, -2) / whole
        products = np.cumsum(column[..., None] * outer(off), -3)
        seen = (total > 0)[..., None]
        return cls(total, (middle + mean) * seen, products - scaled(outer(mean), total))

    @classmethod
    def of_numbers(cls, numbers: Floats) -> "Moments":
        """Return the moments of which these are the numbers."""
        products = numbers[..., 3:].reshape(*numbers.shape[:-1], 2, 2)
        return cls(numbers[..., 0], numbers[..., 1:3], products)

    def numbers(self) -> Floats:
        """Return all numbers, shape (..., 7)."""
        products = self.products.reshape(*self.weight.shape, 4)
        return np.concatenate((self.weight[..., None], self.mean, products), -1)

    def swapped(self) -> "Moments":
        """Return the moments with the arms swapped."""
        return Moments(self.weight, self.mean[..., ::-1], self.products[..., ::-1, ::-1])

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both; shapes broadcast (Chan, Golub and LeVeque 1983)."""
        weight = self.weight + other.weight
        share = np.asarray(other.weight / np.maximum(weight, TINY))
        apart = other.mean - self.mean
        moved = scaled(outer(apart), self.weight * share)
        products = self.products + other.products + moved
        return Moments(weight, self.mean + share[..., None] * apart, products)

    def about(self, mean: Floats) -> Floats:
        """Return the products about other means, shape (..., 2, 2)."""
        return self.products + scaled(outer(self.mean - mean), self.weight)


def pair(candidate: Floats, stable: Floats) -> Floats:
    """Return both as one array, shape (..., 2)."""
    return np.asarray(np.stack(np.broadcast_arrays(candidate, stable), -1))


def outer(pair: Floats) -> Floats:
    """Return the products of a pair with itself, shape (..., 2, 2)."""
    return np.asarray(pair[..., :, None] * pair[..., None, :])


def scaled(forms: Floats, factor: Floats) -> Floats:
    """Return forms of shape (..., 2, 2), each times its factor."""
    return np.asarray(forms * np.asarray(factor)[..., None, None])
