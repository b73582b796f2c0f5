"""Learning with scikit-learn, whose jobs joblib shares out: to threads, and to processes where it may."""

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from symphony_sdk import Context, operator, provides_operators


@operator("acme.sklearn.work")
def work(ctx: Context) -> dict[str, str]:
    """Fit models with two jobs, keep one, and predict with what was read back."""
    samples, labels = load_digits(return_X_y=True)
    fit, test, fit_labels, test_labels = train_test_split(samples, labels, random_state=0)
    forest = RandomForestClassifier(50, n_jobs=2, random_state=0).fit(fit, fit_labels)
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3, 5]}, n_jobs=2, cv=3)
    search.fit(fit[:600], fit_labels[:600])
    line = make_pipeline(PCA(20, random_state=0), LogisticRegression(max_iter=300)).fit(fit, fit_labels)
    joblib.dump(line, "line.joblib", compress=3)
    read = joblib.load("line.joblib")
    squares = joblib.Parallel(n_jobs=2, prefer="threads")(joblib.delayed(np.square)(n) for n in range(10))
    return {
        "forest": f"{forest.score(test, test_labels):.4f}",
        "search": f"{search.best_params_} {search.best_score_:.4f}",
        "line": f"{read.score(test, test_labels):.4f}",
        "squares": str([int(square) for square in squares]),
    }


@provides_operators
def symphony_operators():
    yield work
