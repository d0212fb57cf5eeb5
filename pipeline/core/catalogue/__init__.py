"""The catalogue: what is known of each SKU, at the SKU's home. Prices and stocks, what is bought and wished with it."""
