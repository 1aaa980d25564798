"""The resources of group penstock.dev, version v1alpha1, as users write and read them."""

GROUP, VERSION = "penstock.dev", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
