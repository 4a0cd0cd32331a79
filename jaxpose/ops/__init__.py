"""Arrays in, arrays out: jax.numpy over fixed shapes and masks."""
