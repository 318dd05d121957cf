"""Where the market's prices meet the exact gradient. Nothing that trades may import this."""
