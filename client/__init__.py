"""One data-owning site: its records, its training, its Flower ClientApp."""
