"""Calibration, thresholds, net benefit and paired tests, against scikit-learn, SciPy and statsmodels."""

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, roc_curve
from statsmodels.stats.contingency_tables import mcnemar

from tinymed.errors import UserError
from tinymed.metrics import calibration, decisions, paired

RNG = np.random.default_rng(8)
Y = RNG.random(400) < 0.35
P = np.clip(0.25 * Y + RNG.beta(2, 3, 400) * 0.75, 0, 1)


class TestCalibration:
    @pytest.mark.parametrize(("equal", "strategy"), [("width", "uniform"), ("mass", "quantile")])
    def test_bins_are_scikit_learns(self, equal, strategy):
        observed, predicted = calibration_curve(Y, P, n_bins=10, strategy=strategy)
        bins = calibration.reliability_bins(Y, P, 10, equal)
        np.testing.assert_allclose([b.observed for b in bins], observed)
        np.testing.assert_allclose([b.predicted for b in bins], predicted)
        weights = np.array([b.images for b in bins]) / 400
        assert weights.sum() == pytest.approx(1)
        error = calibration.calibration_error(Y, P, 10, equal)
        assert error == pytest.approx(np.sum(weights * abs(observed - predicted)))

    def test_brier_and_its_parts(self):
        parts = calibration.brier_decomposition(Y, P)
        assert parts["brier"] == pytest.approx(brier_score_loss(Y, P))
        whole = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within"]
        assert whole == pytest.approx(parts["brier"])
        coarse = (np.floor(P * 9.99) + 0.5) / 10  # one probability a bin: Murphy's three parts are all
        assert calibration.brier_decomposition(Y, coarse)["within"] == pytest.approx(0, abs=1e-12)

    def test_temperature_is_the_likeliest(self):
        logits = RNG.normal(size=(300, 3)) * 4
        labels = np.array([RNG.choice(3, p=np.exp(z / 3) / np.exp(z / 3).sum()) for z in logits])
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

        def loss(log_t):
            z = logits / np.exp(log_t)
            return log_loss(labels, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))

        wanted = np.exp(optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9}).x)
        found = calibration.fit_temperature(p, labels)
        assert found == pytest.approx(wanted, rel=1e-4)
        assert 2 < found < 4.5
        scaled = calibration.apply_temperature(p, found)
        np.testing.assert_array_equal(scaled.argmax(axis=1), p.argmax(axis=1))
        assert log_loss(labels, scaled) < log_loss(labels, p)
        np.testing.assert_allclose(calibration.apply_temperature(p, 1.0), p)

    def test_no_temperature_is_refused(self):
        with pytest.raises(UserError, match="every image is right"):
            calibration.fit_temperature([[0.9, 0.1]] * 5, [0] * 5)
        with pytest.raises(UserError, match="say nothing"):
            calibration.fit_temperature([[0.9, 0.1]] * 5, [1] * 5)


class TestThresholds:
    def test_youden(self):
        false, true, thresholds = roc_curve(Y, P, drop_intermediate=False)
        best = np.argmax(true - false)
        assert decisions.choose_threshold(Y, P) == pytest.approx(thresholds[best])

    @pytest.mark.parametrize("least", [0.5, 0.9, 1.0])
    def test_a_rate_that_is_kept(self, least):
        false, true, thresholds = roc_curve(Y, P, drop_intermediate=False)
        found = decisions.choose_threshold(Y, P, f"sensitivity>={least}")
        assert found == pytest.approx(thresholds[np.argmax(true >= least)])
        kept = decisions.choose_threshold(Y, P, f"specificity >= {least}")
        rates = decisions.at_threshold(Y, P, kept, warn=lambda _: None)
        assert rates["specificity"] >= least
        allowed = true[1 - false >= least - 1e-12].max()
        assert rates["sensitivity"] == pytest.approx(allowed)

    @pytest.mark.parametrize("rule", ["", "sensitivity", "sensitivity>=2", "accuracy>=0.9", "sensitivity>=0.9.1"])
    def test_other_rules_are_refused(self, rule):
        with pytest.raises(UserError, match="write youden"):
            decisions.choose_threshold(Y, P, rule)

    def test_rates_count_groups(self):
        alone = decisions.at_threshold(Y, P, 0.4, warn=lambda _: None)
        groups = np.tile(np.arange(400), 5)
        copied = decisions.at_threshold(np.tile(Y, 5), np.tile(P, 5), 0.4, groups, warn=lambda _: None)

        assert copied["sensitivity"] == pytest.approx(alone["sensitivity"])
        np.testing.assert_allclose(copied["sensitivity_interval"], alone["sensitivity_interval"], atol=0.01)

    def test_net_benefit_by_hand(self):
        curve = decisions.net_benefit(Y, P, [0.3])
        called = P >= 0.3
        wanted = np.mean(called & Y) - np.mean(called & ~Y) * 0.3 / 0.7
        assert curve.model[0] == pytest.approx(wanted)
        assert curve.everyone[0] == pytest.approx(Y.mean() - (1 - Y.mean()) * 0.3 / 0.7)


class TestPaired:
    def test_mcnemar_is_statsmodels(self):
        for share in (0.5, 0.7, 0.95):
            a, b = RNG.random(80) < 0.7, RNG.random(80) < share
            found = paired.mcnemar_test(a, b)
            counts = [[np.sum(a & b), np.sum(a & ~b)], [np.sum(~a & b), np.sum(~a & ~b)]]
            assert found.p == pytest.approx(mcnemar(counts, exact=True).pvalue)
        assert paired.mcnemar_test(a, a).p == 1

    def test_delong_by_all_pairs(self):
        q = np.clip(P + RNG.normal(0, 0.15, 400), 0, 1)
        found = paired.delong_test(Y, P, q)
        wins = [(s[Y][:, None] > s[~Y]) + 0.5 * (s[Y][:, None] == s[~Y]) for s in (P, q)]
        apart = wins[0] - wins[1]
        variance = apart.mean(1).var(ddof=1) / Y.sum() + apart.mean(0).var(ddof=1) / (~Y).sum()
        z = apart.mean() / np.sqrt(variance)
        assert found.z == pytest.approx(z)
        assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)))

    def test_groups_make_a_test_more_careful(self):
        q = np.clip(P + RNG.normal(0, 0.15, 400), 0, 1)
        y, a, b = (np.tile(v, 4) for v in (Y, P, q))
        groups = np.tile(np.arange(400), 4)
        alone, copied = paired.delong_test(Y, P, q), paired.delong_test(y, a, b, groups)
        assert copied.p == pytest.approx(alone.p, rel=0.1, abs=1e-3)
        assert paired.delong_test(y, a, b).p < copied.p
