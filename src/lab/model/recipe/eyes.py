"""The eyes: an encoder that looks at a whole picture before it becomes part of the prompt.

A transformer over the patches of one picture, each of which sees all others, with a learned place for each row and column. What
it makes of a patch stands in the prompt in the place of that patch's token. vision.py trains it; train.py and measure.py look
through it.
"""

import jax
import jax.numpy as jnp
import numpy as np

import images

SIDES = 8  # patches in the longest row or column that has places of its own
SIZES = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192)


def rms_norm(x, weight, eps):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + eps) * weight


def features(params, pixels, places):
    """What the encoder makes of each patch. `places` has its row and column, −1 where there is no patch; a line is a picture."""
    eps, heads = 1e-5, SIZES["num_attention_heads"]
    lines, count, _ = pixels.shape
    x = (pixels.astype(jnp.float32) / 127.5 - 1) @ params["image.patch_proj.weight"].T + params["image.patch_proj.bias"]
    x = x + params["image.row_embed.weight"][places[..., 0] % SIDES] + params["image.column_embed.weight"][places[..., 1] % SIDES]
    there = (places[..., 0] >= 0)[:, None, None]
    for layer in range(SIZES["num_hidden_layers"]):
        prefix = f"image.layers.{layer}."
        normal = rms_norm(x, params[prefix + "input_layernorm.weight"], eps)
        query, key, value = ((normal @ params[f"{prefix}self_attn.{part}_proj.weight"].T)
                             .reshape(lines, count, heads, -1).transpose(0, 2, 1, 3) for part in "qkv")
        scores = query @ key.swapaxes(2, 3) * query.shape[-1] ** -0.5
        mixed = jax.nn.softmax(jnp.where(there, scores, -1e30), -1) @ value
        x = x + mixed.transpose(0, 2, 1, 3).reshape(x.shape) @ params[prefix + "self_attn.o_proj.weight"].T
        normal = rms_norm(x, params[prefix + "post_attention_layernorm.weight"], eps)
        gate = jax.nn.silu(normal @ params[prefix + "mlp.gate_proj.weight"].T)
        x = x + (gate * (normal @ params[prefix + "mlp.up_proj.weight"].T)) @ params[prefix + "mlp.down_proj.weight"].T
    return rms_norm(x, params["image.norm.weight"], eps)


def see(params, pixels, places):
    """What stands in the prompt in the place of each patch."""
    return features(params, pixels, places) @ params["image.out_proj.weight"].T + params["image.out_proj.bias"]


# Pictures as arrays


def filled(values, count):
    """Arrays of patches and places, filled up to `count`."""
    patches, places = values
    pixels, where = np.zeros((count, 192), np.uint8), np.full((count, 2), -1, np.int32)
    pixels[: len(patches)], where[: len(patches)] = patches, places
    return pixels, where


def picture(spec):
    return images.patches(images.draw(spec)), images.places(spec["width"], spec["height"])
