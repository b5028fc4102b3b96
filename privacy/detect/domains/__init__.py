"""Terms of medicine, banking and law that name nobody; ``terms`` reads the lists, ``harmless`` takes findings off them."""
