"""Several processes that answer calls as one gateway: workers, and the parent that keeps them."""
