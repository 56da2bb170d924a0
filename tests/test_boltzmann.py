"""Boltzmann machines beside sums over all of their states, scikit-learn, and the tape; seeds, resuming."""

from itertools import pairwise

import numpy as np
import pytest

import tinymed
from tinymed import Tensor, models, random
from tinymed.errors import UserError
from tinymed.nn import functional as F
from tinymed.unsupervised import DBM, DBN, RBM, ContrastiveDivergence, DBMLearning, fit
from tinymed.unsupervised.units import binary_states

KINDS = ("bernoulli", "gaussian")
DATA = binary_states(5)[[3, 7, 7, 12, 30, 21]]


def machine_of(visible=5, hidden=3, kind="bernoulli", seed=1):
    """A machine in float64 whose parameters are all far from 0."""
    machine = RBM(visible, hidden, kind, seed, std=1.0, dtype=np.float64)
    machine.visible_bias += random.normal(visible, seed, random.INITIALISE, 1)
    machine.hidden_bias += random.normal(hidden, seed, random.INITIALISE, 2)
    return machine


def deep_machine(sizes, seed=2):
    machine = DBM(sizes, seed, std=1.0, dtype=np.float64)
    for i, bias in enumerate(machine.biases):
        bias += random.normal(len(bias), seed, random.INITIALISE, 10 + i)
    return machine


def all_pairs(machine):
    """E of every pair of a visible and a hidden state, [2^visible, 2^hidden]."""
    v, h = binary_states(machine.visible), binary_states(machine.hidden)
    return np.stack([machine.energy(v, np.broadcast_to(state, (len(v), len(state)))) for state in h], 1)


class TestEnergies:
    def test_free_energy_is_the_marginal(self):
        machine = machine_of()
        marginal = -np.log(np.exp(-all_pairs(machine)).sum(1))
        np.testing.assert_allclose(machine.free_energy(binary_states(5)), marginal, rtol=1e-12)

    def test_gaussian_free_energy_is_the_marginal(self):
        machine = machine_of(kind="gaussian")
        v, h = random.normal(20, 0, random.NOISE).reshape(4, 5), binary_states(3)
        terms = np.stack([machine.energy(v, np.broadcast_to(state, (4, 3))) for state in h], 1)
        np.testing.assert_allclose(machine.free_energy(v), -np.log(np.exp(-terms).sum(1)), rtol=1e-12)

    @pytest.mark.parametrize(("visible", "hidden"), [(5, 3), (3, 5)])
    def test_log_partition_sums_every_state(self, visible, hidden):
        machine = machine_of(visible, hidden)
        assert machine.log_partition() == pytest.approx(np.log(np.exp(-all_pairs(machine)).sum()), rel=1e-12)
        total = np.exp(machine.log_likelihood(binary_states(visible))).sum()
        assert total == pytest.approx(1, rel=1e-12)

    def test_gaussian_density_integrates_to_one(self):
        """By the trapezoid rule on a grid of the plane."""
        machine = machine_of(2, 3, "gaussian")
        side = np.linspace(-15, 15, 301)
        v = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
        assert np.exp(machine.log_likelihood(v)).sum() * 0.1**2 == pytest.approx(1, rel=1e-6)

    def test_conditionals_are_ratios_of_the_joint(self):
        machine = machine_of()
        joint = np.exp(-all_pairs(machine))
        given_v = (joint[..., None] * binary_states(3)).sum(1) / joint.sum(1)[:, None]
        given_h = (joint[..., None] * binary_states(5)[:, None]).sum(0) / joint.sum(0)[:, None]
        np.testing.assert_allclose(machine.hidden_mean(binary_states(5)), given_v, rtol=1e-12)
        np.testing.assert_allclose(machine.visible_mean(binary_states(3)), given_h, rtol=1e-12)

    def test_pseudo_likelihood_is_a_product_of_conditionals(self):
        machine = machine_of()
        p = np.exp(machine.log_likelihood(binary_states(5)))
        number = DATA @ 2 ** np.arange(4, -1, -1)
        wanted = np.zeros(len(DATA))
        for i in range(5):
            flipped = number + (1 - 2 * DATA[:, i]) * 2 ** (4 - i)
            wanted += np.log(p[number.astype(int)] / (p[number.astype(int)] + p[flipped.astype(int)]))
        np.testing.assert_allclose(machine.pseudo_log_likelihood(DATA), wanted, rtol=1e-10)

    def test_scikit_learn_has_the_same_energies_and_score(self):
        """Its score flips one random pixel and multiplies by their number: ours is the mean of that over all pixels."""
        theirs = pytest.importorskip("sklearn.neural_network").BernoulliRBM(3, random_state=0)
        machine = machine_of()
        theirs.components_ = machine.weight.T
        theirs.intercept_hidden_, theirs.intercept_visible_ = machine.hidden_bias, machine.visible_bias
        np.testing.assert_allclose(machine.free_energy(DATA), theirs._free_energy(DATA), rtol=1e-12)
        np.testing.assert_allclose(machine.hidden_mean(DATA), theirs.transform(DATA), rtol=1e-12)
        drawn = []
        for seed in range(500):
            theirs.random_state = seed
            drawn.append(theirs.score_samples(DATA))
        error = np.std(drawn, axis=0) / np.sqrt(len(drawn))
        assert (np.abs(np.mean(drawn, axis=0) - machine.pseudo_log_likelihood(DATA)) < 5 * error + 1e-12).all()

    def test_what_cannot_be_summed_is_refused(self):
        with pytest.raises(UserError, match="at most 20 units"):
            RBM(30, 25).log_partition()
        with pytest.raises(UserError, match="Gaussian"):
            RBM(3, 2, "gaussian").pseudo_log_likelihood(np.zeros((1, 3)))
        with pytest.raises(UserError, match="bernoulli, gaussian"):
            RBM(3, 2, "poisson")
        with pytest.raises(UserError, match=r"\[n, 3\]"):
            RBM(3, 2).free_energy(np.zeros((1, 4)))


def taped_free_energy(kind, v, w, a, b):
    """F(v) as a graph of ops."""
    if kind == "gaussian":
        d = Tensor(v) - a
        own = 0.5 * F.sum(d * d, 1)
    else:
        own = -F.matmul(Tensor(v), a)
    return own - F.sum(F.softplus(F.matmul(Tensor(v), w) + b), 1)


class TestGradients:
    @pytest.mark.parametrize("kind", KINDS)
    def test_by_hand_is_the_tapes_of_free_energies(self, kind):
        machine = machine_of(kind=kind)
        v = random.normal(20, 3, random.NOISE).reshape(4, 5)
        w, a, b = leaves = [Tensor(p, requires_grad=True) for p in machine.parameters.values()]
        with tinymed.use_backend("numpy"):
            loss = taped_free_energy(kind, DATA, w, a, b).mean() - taped_free_energy(kind, v, w, a, b).mean()
            loss.backward()
        for leaf, found in zip(leaves, machine.gradients(DATA, v).values(), strict=True):
            np.testing.assert_allclose(found, leaf.grad.array, rtol=1e-10, atol=1e-12)

    def test_exact_gradient_is_the_slope_of_the_likelihood(self):
        machine = machine_of()
        found = machine.exact_gradients(DATA)
        for name, parameter in machine.parameters.items():
            for place in np.ndindex(parameter.shape):
                ends = []
                for change in (1e-5, -2e-5, 1e-5):
                    parameter[place] += change
                    ends.append(-machine.log_likelihood(DATA).mean())
                assert found[name][place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)

    @pytest.mark.parametrize("kind", KINDS)
    def test_samples_of_the_model_give_the_gradient_of_its_likelihood(self, kind):
        """Gibbs chains, long run, in place of the sum over states; of Gaussian units against differences."""
        machine = machine_of(4, 3, kind)
        machine.weight *= 0.5
        data = random.normal(40, 5, random.NOISE).reshape(10, 4)
        data = (data > 0).astype(float) if kind == "bernoulli" else data
        chains = machine.gibbs(np.zeros((40_000, 4)), 60)
        found = machine.gradients(data, chains)["weight"]
        for place in np.ndindex(found.shape):
            ends = []
            for change in (1e-5, -2e-5, 1e-5):
                machine.weight[place] += change
                ends.append(-machine.log_likelihood(data).mean())
            assert found[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=0.03)

    def test_many_rounds_of_contrastive_divergence_approach_the_likelihood(self):
        """CD-1 is biased; its error shrinks with the rounds."""
        machine, errors = machine_of(), []
        exact = machine.exact_gradients(DATA)["weight"]
        for rounds in (1, 50):
            many = np.repeat(DATA, 5000, axis=0)
            found = machine.gradients(many, machine.gibbs(many, rounds))["weight"]
            errors.append(np.abs(found - exact).max())
        assert errors[1] < 0.02 < errors[0]


class TestSampling:
    def test_persistent_chains_reach_the_exact_distribution(self):
        """Total variation from the sum over states; 20,000 chains give about 0.007 by chance."""
        machine = machine_of()
        p = np.exp(machine.log_likelihood(binary_states(5)))
        chains = machine.gibbs(np.zeros((20_000, 5)), 100)
        seen = np.bincount((chains @ 2 ** np.arange(4, -1, -1)).astype(int), minlength=32) / len(chains)
        assert 0.5 * np.abs(seen - p).sum() < 0.02
        assert 0.5 * np.abs(np.eye(32)[0] - p).sum() > 0.5  # where they began

    def test_learning_with_persistent_chains_finds_the_data(self):
        """Two patterns of three pixels: their probability grows to most of all."""
        data = np.repeat(np.array([[1, 1, 0], [0, 0, 1]], np.float32), 50, axis=0)
        machine = RBM(3, 2, seed=4)
        learning = ContrastiveDivergence(machine, lr=0.2, steps=2, chains=100)
        before = np.exp(machine.log_likelihood(data[[0, 50]])).sum()
        fit(learning, data, epochs=200, batch=50)
        after = np.exp(machine.log_likelihood(data[[0, 50]])).sum()
        assert before < 0.3
        assert after > 0.85

    def test_gaussian_machine_learns_the_mean_and_two_modes(self):
        data = random.normal(2000, 0, random.NOISE).reshape(1000, 2) * 0.3
        data += np.where(np.arange(1000)[:, None] % 2, 1.5, -1.5)
        machine = RBM(2, 3, "gaussian", dtype=np.float64)
        before = machine.log_likelihood(data).mean()
        fit(ContrastiveDivergence(machine, lr=0.02), data, epochs=30, batch=100)
        assert machine.log_likelihood(data).mean() > before + 1.2
        assert np.abs(machine.gibbs(data, 20)).mean() > 1  # samples lie about both modes


class TestBits:
    def steps(self, learning, number, start=0):
        for i in range(start, start + number):
            learning(np.roll(DATA, i, 0).astype(np.float32))
        return learning

    def makers(self):
        return {
            "cd": lambda: ContrastiveDivergence(RBM(5, 4), steps=2, momentum=0.9, weight_decay=1e-3),
            "pcd": lambda: ContrastiveDivergence(RBM(5, 4, "gaussian"), lr=0.01, chains=7),
            "dbm": lambda: DBMLearning(DBM([5, 4, 3]), chains=6, steps=2, momentum=0.9),
        }

    @pytest.mark.parametrize("name", ["cd", "pcd", "dbm"])
    def test_same_seed_same_bits_and_resumed_the_same(self, name, tmp_path):
        """Stopped after 3 of 8 steps, saved as a checkpoint and taken up in a new object."""
        from tinymed.train.checkpoint import load_checkpoint, save_checkpoint

        make = self.makers()[name]
        whole, again, half = self.steps(make(), 8), self.steps(make(), 8), self.steps(make(), 3)
        save_checkpoint(tmp_path / "state.safetensors", half.state())
        resumed = make()
        resumed.restore(load_checkpoint(tmp_path / "state.safetensors"))
        self.steps(resumed, 5, start=3)
        for other in (again, resumed):
            for parameter, same in zip(
                whole.machine.parameters.values(), other.machine.parameters.values(), strict=True
            ):
                np.testing.assert_array_equal(parameter, same)
        assert not np.array_equal(whole.machine.state()["generator"], half.machine.state()["generator"])

    def test_another_seed_draws_others(self):
        assert not np.array_equal(
            RBM(50, 4, seed=0).gibbs(np.zeros((2, 50))), RBM(50, 4, seed=1).gibbs(np.zeros((2, 50)))
        )


class TestDBN:
    def test_unrolls_into_a_classifier_and_an_autoencoder(self):
        """The hidden means are the network's features; the decoder's first step is the top machine's way down."""
        net = DBN([16, 8, 4], seed=3, std=1.0)
        v = random.uniform(48, 0, random.NOISE).reshape(3, 16).astype(np.float32)
        images = Tensor(v.reshape(3, 1, 4, 4))
        with tinymed.use_backend("numpy"), tinymed.no_grad():
            model = net.unroll(models.create("mlp", size=4, hidden="8,4"))
            np.testing.assert_allclose(model.features(images).numpy(), net.hidden_mean(v), rtol=1e-5, atol=1e-6)
            coder = net.unroll(models.create("sae", size=4, hidden="8,4", code="same"))
            wanted = net.machines[1].visible_mean(net.hidden_mean(v)) @ net.machines[0].weight.T
            np.testing.assert_allclose(coder(images).numpy().reshape(3, 16), wanted, rtol=1e-4, atol=1e-5)
        with pytest.raises(UserError, match="dense layers"):
            net.unroll(models.create("mlp", size=4, hidden="8,5"))

    def test_each_machine_learns_the_means_below_it(self):
        data = np.repeat(DATA, 20, axis=0).astype(np.float32)
        net = DBN([5, 4, 2])
        errors = net.pretrain(data, epochs=15, batch=20, lr=0.2)
        alone = RBM(4, 2, seed=1)
        fit(ContrastiveDivergence(alone, lr=0.2), net.machines[0].hidden_mean(data), 15, 20)
        np.testing.assert_array_equal(alone.weight, net.machines[1].weight)
        assert errors[0][-1] < errors[0][0]

    def test_samples_are_means_of_pixels(self):
        net = DBN([5, 4, 2], std=1.0)
        pixels = net.sample(np.zeros((7, 4)), steps=3)
        assert pixels.shape == (7, 5)
        assert ((pixels > 0) & (pixels < 1)).all()


class TestDBM:
    def states(self, sizes):
        every = binary_states(sum(sizes))
        ends = np.cumsum([0, *sizes])
        return [every[:, a:b] for a, b in pairwise(ends)]

    @pytest.mark.parametrize("sizes", [(4, 3, 2), (2, 3, 4), (3, 2, 3, 2)])
    def test_sums_over_every_state(self, sizes):
        machine = deep_machine(sizes)
        layers = self.states(sizes)
        joint = np.exp(-machine.energy(layers))
        assert machine.log_partition() == pytest.approx(np.log(joint.sum()), rel=1e-12)
        marginal = joint.reshape(2 ** sizes[0], -1).sum(1)
        np.testing.assert_allclose(machine.free_energy(binary_states(sizes[0])), -np.log(marginal), rtol=1e-12)

    def test_mean_field_bounds_the_likelihood_from_below_and_rises(self):
        machine = deep_machine((4, 3, 2))
        v = binary_states(4)
        true = -machine.free_energy(v)
        bounds = [machine.bound(v, iterations) for iterations in (0, 1, 5, 50)]
        for lower, higher in pairwise([*bounds, true]):
            assert (lower <= higher + 1e-9).all()
        assert (true - bounds[-1]).max() < 0.5  # the gap is a divergence between q and the posterior

    def test_chains_reach_the_exact_distribution(self):
        machine = deep_machine((3, 2, 2))
        p = np.exp(-machine.free_energy(binary_states(3)) - machine.log_partition())
        layers = machine.gibbs(machine.start_chains(40_000), 100)
        seen = np.bincount((layers[0] @ [4, 2, 1]).astype(int), minlength=8) / 40_000
        assert 0.5 * np.abs(seen - p).sum() < 0.015

    def test_gradient_is_that_of_the_bound(self):
        """With the exact statistics of the model in place of its chains: differences of bound - log Z."""
        sizes = (4, 3, 2)
        machine = deep_machine(sizes)
        layers = self.states(sizes)
        p = np.exp(-machine.energy(layers) - machine.log_partition())
        drawn = [np.repeat(layer, 1, 0) for layer in layers]
        model = {f"weight{i + 1}": (drawn[i] * p[:, None]).T @ drawn[i + 1] for i in range(2)}
        data = binary_states(4)[[1, 6, 6, 11]]
        means = machine.mean_statistics([data, *machine.mean_field(data, 300)])
        for name, w in (("weight1", machine.weights[0]), ("weight2", machine.weights[1])):
            for place in np.ndindex(w.shape):
                ends = []
                for change in (1e-5, -2e-5, 1e-5):
                    w[place] += change
                    ends.append(machine.log_partition() - machine.bound(data, 300).mean())
                wanted = (ends[0] - ends[1]) / 2e-5
                assert model[name][place] - means[name][place] == pytest.approx(wanted, abs=1e-7)

    def test_learning_raises_the_likelihood(self):
        machine = DBM([3, 2, 2], seed=1)
        data = np.repeat(np.array([[1, 1, 0], [0, 0, 1]], np.float32), 50, axis=0)

        def likelihood():
            return float(-(machine.free_energy(data[[0, 50]]) + machine.log_partition()).mean())

        before = likelihood()
        fit(DBMLearning(machine, lr=0.1, chains=100, steps=3), data, epochs=200, batch=50)
        assert before < -2
        assert likelihood() > -1.2  # log 1/2 is the most
