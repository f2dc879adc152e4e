# changes: warnings.filters
import warnings

warnings.simplefilter("error", DeprecationWarning)
print("next raises")
warnings.warn("not any more", DeprecationWarning)
