"""River and scikit-learn without what they take along and nobody needs here, a quarter of the service's start."""

from streamswarm_core.without import without

with without("pandas", "sqlalchemy"):
    from river import linear_model, optim, preprocessing
    from sklearn.covariance import LedoitWolf

__all__ = ["LedoitWolf", "linear_model", "optim", "preprocessing"]
