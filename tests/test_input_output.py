"""Input-output tables: read and checked; as economies, their lines and both engines.

Wherever a number is compared, it is worked out here a second time: by the same line written as an
expression of one operation an input, in 50 digits, or by the other engine.
"""

import math
from decimal import Decimal, localcontext
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from support.engines import assert_twins
from support.tables import files, made_up, three

import market_abm
from market_abm import Experiment, InputOutputTable, from_input_output, market_settings, read_table
from market_abm.economy.nested_ces import Nest, NestedCES
from market_abm.economy.technology import Technology
from market_abm.errors import MarketError, SettingError, TableError

# --- the table ------------------------------------------------------------------------------------


def test_the_table_of_the_united_states():
    """The numbers are those of its source, to as many digits as were told there."""
    table = read_table("us-2023")
    assert table.size == 71 and table.codes[:2] == ("111CA", "113FF")
    assert "331" in table.codes and "5412OP" in table.codes
    assert table.label(table.codes.index("331")) == "331 (Primary metals)"
    assert table.final_use.sum() == pytest.approx(29_645_838, abs=1)
    assert table.factors["value_added"].sum() == pytest.approx(27_720_704, abs=1)
    assert table.shares.sum(axis=0).max() == pytest.approx(0.898, abs=5e-4)
    assert max(np.abs(table.row_residuals).max(), np.abs(table.column_residuals).max()) < 1e-14
    assert "71 industries" in table.report() and "99.9%" in table.report()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 13])
def test_a_table_comes_back_from_its_files(n, tmp_path):
    """To the last digit: pandas writes all of them."""
    table = made_up(n, seed=n, density=0.5)
    again = read_table(*files(table, tmp_path))
    assert again.codes == table.codes and again.names == table.names
    for name in ("flows", "output", "final_use"):
        assert np.array_equal(getattr(again, name), getattr(table, name))
    assert again.factors.keys() == {"compensation", "operating_surplus"}
    assert not again.flows.flags.writeable


def test_a_sector_table_needs_three_columns_only(tmp_path):
    text = "gross_output,final_use,colour,code\n10,7,red,a\n10,8,,b\n10,6,blue,c\n"
    table = read_table(*files(three(), tmp_path, sectors=text))
    assert table.names == ("a", "b", "c") and not table.factors
    assert np.allclose(table.primary_inputs, [6.0, 7.0, 8.0], rtol=1e-15)


def test_a_file_that_changes_is_read_again(tmp_path):
    paths = files(three(), tmp_path)
    assert read_table(*paths).final_use[0] == 7.0
    files(three(flows=np.zeros((3, 3)), final_use=np.full(3, 10.0)), tmp_path)
    assert read_table(*paths).final_use[0] == 10.0


def test_residuals_are_told_by_name():
    table = three(output=np.array([10.0, 10.005, 10.0]), names=("Arms", "Boats", "Cars"))
    assert table.row_residuals == pytest.approx([0.0, 0.005 / 10.005, 0.0])
    assert "0.0005, b (Boats)" in table.report()


def test_industries_that_make_nothing_are_left_out_if_one_says_so(tmp_path):
    flows = ",a,b,c\na,1,0,2\nb,0,0,0\nc,3,0,1\n"
    sectors = "code,gross_output,final_use\na,10,7\nb,0,0\nc,10,6\n"
    paths = files(three(), tmp_path, flows=flows, sectors=sectors)
    with pytest.raises(TableError, match="output of b is 0; leave it out, with drop_empty = True"):
        read_table(*paths)
    table = read_table(*paths, drop_empty=True)
    assert table.codes == ("a", "c") and table.dropped == ("b",)
    assert table.report().endswith("without output: b")


def test_small_inputs_are_dropped_and_the_others_grow():
    """Column totals stay to rounding, outputs are those that final use then takes."""
    table = made_up(7, seed=3)
    sparse = table.without_small_inputs(0.05)
    dropped = (table.shares > 0.0) & (sparse.shares == 0.0)
    assert dropped.any() and np.all(table.shares[dropped] < 0.05)
    assert np.allclose(sparse.shares.sum(axis=0), table.shares.sum(axis=0), rtol=1e-14)
    assert np.allclose(sparse.flows.sum(axis=1) + sparse.final_use, sparse.output, rtol=1e-14)
    assert sparse.kept == pytest.approx(1.0 - table.flows[dropped].sum() / table.flows.sum())
    assert f"{sparse.kept:.1%} of the flows were kept" in sparse.report()
    largest = table.without_small_inputs(0.99)
    assert np.all(np.count_nonzero(largest.shares, axis=0) == 1)


def system(table, codes=None):
    index = codes or list(table.codes)
    index = pd.MultiIndex.from_tuples(index) if isinstance(index[0], tuple) else pd.Index(index)
    final = pd.DataFrame({"a": table.final_use * 1.5, "b": table.final_use * -0.5}, index=index)
    return SimpleNamespace(
        Z=pd.DataFrame(np.array(table.flows), index=index, columns=index),
        Y=final,
        x=pd.DataFrame({"indout": np.array(table.output)}, index=index),
    )


def test_a_pymrio_system_is_a_table():
    table = made_up(3)
    again = InputOutputTable.from_pymrio(system(table))
    assert again.codes == table.codes and np.array_equal(again.flows, table.flows)
    assert np.allclose(again.final_use, table.final_use, rtol=1e-15)
    regions = [("AT", "food"), ("AT", "cars"), ("DE", "food")]
    assert InputOutputTable.from_pymrio(system(table, regions)).codes[1] == "AT cars"


def test_a_pymrio_system_must_be_whole():
    whole = system(three())
    with pytest.raises(TableError, match=r"the system has no x; compute it .*calc_all"):
        InputOutputTable.from_pymrio(SimpleNamespace(Z=whole.Z, Y=whole.Y, x=None))
    whole.x = whole.x.loc[["b", "a", "c"]]
    with pytest.raises(TableError, match="industry 1 is 'a' in Z, and 'b' in x"):
        InputOutputTable.from_pymrio(whole)


WRONG_TABLES = {
    "has no industry": {"codes": (), "names": ()},
    r"shape \(2, 3\).*square": {"flows": np.ones((2, 3))},
    r"output has the shape \(2,\), with 3 codes": {"output": np.ones(2)},
    "3 codes, 2 names and 3 rows": {"names": ("", "")},
    "industry 2 of the table has no code": {"codes": ("a", " ", "c")},
    "two industries have the code a": {"codes": ("a", "b", "a")},
    "final_use holds something that is not a number": {"final_use": ["x", 1, 2]},
    r"output of a \(Arms\) holds nan": {"output": np.array([np.nan, 10.0, 10.0])},
    r"a \(Arms\) sold -1 to b; .*set it to 0": {
        "flows": np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 2.0], [3.0, 1.0, 0.0]])
    },
    r"final use of c \(Cars\) is -6; choose negative_final_use": {
        "final_use": np.array([7.0, 8.0, -6.0])
    },
    r"output of a \(Arms\) is 0; an industry that buys or sells": {
        "output": np.array([0.0, 10.0, 10.0])
    },
    r"output of a \(Arms\) is -1": {"output": np.array([-1.0, 10.0, 10.0])},
    r"a \(Arms\) buys 4, more than its output of 3": {"output": np.array([3.0, 10.0, 10.0])},
    r"b does not add up.*off its row sum and final use by -1\.00%; balance .*0\.1%": {
        "final_use": np.array([7.0, 8.1, 6.0])
    },
    r"c \(Cars\) does not add up.*off its column sum and primary inputs by 1\.00%": {
        "factors": {"primary_inputs": np.array([6.0, 7.0, 7.9])}
    },
    "no industry has a final use": {
        "flows": np.eye(3) * 10.0,
        "final_use": np.zeros(3),
    },
    r"a \(Arms\) contributes to no final use": {
        "flows": np.diag([10.0, 2.0, 4.0]),
        "final_use": np.array([0.0, 8.0, 6.0]),
    },
    r"a \(Arms\) uses no primary input": {
        "flows": np.diag([10.0, 2.0, 4.0]),
        "final_use": np.array([0.005, 8.0, 6.0]),
    },
}


@pytest.mark.parametrize("message", WRONG_TABLES)
def test_a_wrong_table_is_refused(message):
    with pytest.raises(TableError, match=message):
        three(**WRONG_TABLES[message])


HEAD = ",a,b,c\n"
WRONG_FILES = {
    r"flows\.csv: the file is empty": {"flows": ""},
    r"flows\.csv: the rows and the header differ in number: 1 and 3": {"flows": HEAD + "a,1,2,0\n"},
    r"flows\.csv: industry 2 is 'c' in the rows, and 'b' in the header": {
        "flows": HEAD + "a,1,2,0\nc,3,1,0\nb,0,0,2\n"
    },
    r"flows\.csv:3: the row of b has 2 numbers, for 3 buyers": {
        "flows": HEAD + "a,1,2,0\nb,0,0\nc,3,1,0\n"
    },
    r"flows\.csv:2: a: '1.2.3' is not a number; use the digits": {
        "flows": HEAD + "a,1.2.3,2,0\nb,0,0,2\nc,3,1,0\n"
    },
    r"flows\.csv:4: c: 'inf' is not a number": {"flows": HEAD + "a,1,2,0\nb,0,0,2\nc,3,1,inf\n"},
    r"flows\.csv and .*sectors\.csv: a \(Arms\) sold -1 to a": {
        "flows": HEAD + "a,-1,2,0\nb,0,0,2\nc,3,1,0\n"
    },
    r"sectors\.csv:1: there is no column 'final_use'; the sector table needs code": {
        "sectors": "code,gross_output\na,10\nb,10\nc,10\n"
    },
    r"sectors\.csv:3: the row has 4 cells, for 3 columns; put names with commas in quotes": {
        "sectors": "code,gross_output,final_use\na,10,7\nb,Boats,10,8\nc,10,6\n"
    },
    r"sectors\.csv:4: gross_output: '' is not a number": {
        "sectors": "code,gross_output,final_use\na,10,7\nb,10,8\nc,,6\n"
    },
    r"flows\.csv:2: a: '1_0' is not a number; use the digits 0 to 9": {
        "flows": HEAD + "a,1_0,2,0\nb,0,0,2\nc,3,1,0\n"
    },
    r"flows\.csv:3: b: '٢' is not a number": {"flows": HEAD + "a,1,2,0\nb,0,0,٢\nc,3,1,0\n"},
    r"flows\.csv:1: the cells are separated by semicolons; save it with commas": {
        "flows": HEAD.replace(",", ";") + "a;1;2;0\nb;0;0;2\nc;3;1;0\n"
    },
    r"sectors\.csv:1: the cells are separated by tabs": {
        "sectors": "code\tgross_output\tfinal_use\na\t10\t7\n"
    },
    r"sectors\.csv:1: two columns have the title 'final_use'": {
        "sectors": "code,gross_output,final_use,final_use \na,10,7,1\nb,10,8,1\nc,10,6,1\n"
    },
    r"sectors\.csv: the flows and the sector table differ in number: 3 and 2": {
        "sectors": "code,gross_output,final_use\na,10,7\nb,10,8\n"
    },
    r"sectors\.csv: industry 3 is 'c' in the flows, and 'd' in the sector table": {
        "sectors": "code,gross_output,final_use\na,10,7\nb,10,8\nd,10,6\n"
    },
}


@pytest.mark.parametrize("message", WRONG_FILES)
def test_a_wrong_file_is_refused(message, tmp_path):
    with pytest.raises(TableError, match=message):
        read_table(*files(three(), tmp_path, **WRONG_FILES[message]))


def test_codes_are_equal_if_they_look_equal(tmp_path):
    """A space that does not break, letters composed or not, and marks that are not seen."""
    codes = "caf\u00e9 1", "b", "c"
    flows = "\ufeff,cafe\u0301\u00a01,b\u200b,c\ncaf\u00e9 1,1,2,0\nb,0,0,2\n c\u2009,3,1,0\n"
    sectors = "code,gross_output,final_use\ncafe\u0301  1,10,7\nb,10,8\nc\u00ad,10,6\n"
    table = read_table(*files(three(), tmp_path, flows=flows, sectors=sectors))
    assert table.codes == codes == three(codes=("cafe\u0301\u00a01", "b", "c")).codes


@pytest.mark.parametrize("seed", range(4))
def test_negative_final_use_is_moved_to_primary_inputs(seed, tmp_path):
    """By hand: all identities of the accounts hold as before, and the economy is in equilibrium.

    A random table from which imports are subtracted, as in tables of competitive imports: of the
    first industry more than its final use, of the last all that it sells (it makes nothing).
    """
    rng = np.random.default_rng(seed)
    n = 5
    flows = rng.uniform(1.0, 9.0, (n, n))
    flows[:, 0] *= 0.2
    flows[:, -1] = 0.0
    final_use = rng.uniform(20.0, 50.0, n)
    final_use[0], final_use[-1] = -7.0, -flows[-1].sum()
    output = flows.sum(axis=1) + final_use
    output[-1] = 0.0  # exactly
    primary = output - flows.sum(axis=0)
    raw = {
        "code": list("abcde"),
        "gross_output": output,
        "final_use": final_use,
        "primary_inputs": primary,
        "value_added": primary,
        "other_inputs": 0.0 * primary,
    }
    flows_file, sectors = tmp_path / "flows.csv", tmp_path / "sectors.csv"
    pd.DataFrame(flows, raw["code"], raw["code"]).to_csv(flows_file)
    pd.DataFrame(raw).to_csv(sectors, index=False)
    with pytest.raises(TableError, match='the final use of a is -7; choose .* = "move"'):
        read_table(flows_file, sectors)
    table = read_table(flows_file, sectors, negative_final_use="move")
    assert table.moved == {"a": 7.0, "e": pytest.approx(flows[-1].sum(), rel=1e-14)}
    assert "moved from final use" in table.report() and "7 of a" in table.report()
    moved = np.array([7.0, 0, 0, 0, flows[-1].sum()])
    assert np.array_equal(table.final_use, np.maximum(final_use, 0.0))
    assert np.allclose(table.output, output + moved, rtol=1e-14)
    assert np.array_equal(table.flows, flows)
    for residuals in (table.row_residuals, table.column_residuals):
        assert np.abs(residuals).max() < 1e-14
    both = table.factors["value_added"] + table.factors["other_inputs"]
    assert np.allclose(table.factors["primary_inputs"], both, rtol=1e-13)
    assert table.final_use.sum() == pytest.approx(table.primary_inputs.sum(), rel=1e-14)
    settings = {"market.mechanism": "trading-post", "economy.negative_final_use": "move"}
    text = f"[economy]\ninput_output = '{flows_file}'\nsectors = '{sectors}'\n"
    result = market_abm.run(Experiment.parse(text, settings=settings))
    assert result.status == "converged" and np.allclose(result.last.prices, 1.0, rtol=1e-8)


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    flows, sectors = files(three(), tmp_path)
    flows.write_bytes(b"\xff\xfe")
    with pytest.raises(TableError, match=r"flows\.csv: the file is not text in UTF-8"):
        read_table(flows, sectors)
    with pytest.raises(TableError, match=r"cannot read the file .*none\.csv.*No such file"):
        read_table(tmp_path / "none.csv", sectors)
    with pytest.raises(TableError, match="no table 'us-2022'; did you mean 'us-2023'"):
        read_table("us-2022")


# --- the lines ------------------------------------------------------------------------------------

SHARES = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625])  # that sum to 1 exactly
ELASTICITIES = (0.001, 0.01, 0.1, 0.5, 0.999999, 1.0, 1.000001, 2.0, 10.0, 1000.0)


def in_fifty_digits(inputs, sigma):
    """(Σ a (x/a)^r)^(1/r) and its derivatives (y a/x)^(1/σ), in decimals."""
    with localcontext() as context:
        context.prec = 50
        shares, x = ([Decimal(float(v)) for v in each] for each in (SHARES, inputs))
        s = Decimal(sigma)
        r = (s - 1) / s
        ratios = [v / a for v, a in zip(x, shares, strict=True)]
        if r == 0:
            y = sum(a * v.ln() for a, v in zip(shares, ratios, strict=True)).exp()
        else:
            terms = (a * (r * v.ln()).exp() for a, v in zip(shares, ratios, strict=True))
            y = (sum(terms).ln() / r).exp()
        return float(y), [float(((y / v).ln() / s).exp()) for v in ratios]


@pytest.mark.parametrize("sigma", ELASTICITIES)
def test_a_line_is_exact_for_every_elasticity(sigma):
    """Output to 1e-14 for logs up to 5, an ulp of which is 1e-15; slopes to as much over σ."""
    inputs = SHARES * np.exp([1.2, -0.7, 2.5, -1.5, 0.3])
    if sigma == 0.001:  # a ratio of slopes of e^(4/σ) would be no number
        inputs = SHARES * np.exp([0.02, -0.01, 0.05, -0.03, 0.01])
    made, slopes = NestedCES("abcde", SHARES, sigma).production(inputs)
    y, by_input = in_fifty_digits(inputs, sigma)
    assert made == pytest.approx(y, rel=1e-14)
    np.testing.assert_allclose(slopes, by_input, rtol=4e-15 * (1.0 + 1.0 / sigma), atol=1e-300)


NESTS = (Nest("materials", 3, "inner"), Nest("factors", 2, 0.7))


@pytest.mark.parametrize("nests", [(), NESTS, (*NESTS[:1], Nest("b", 1, 2.0), Nest("c", 1, 2.0))])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("inner", [0.2, 1.0, 3.0])
def test_a_line_is_its_formula(nests, sigma, inner):
    """Against the same line as an expression, 1e-13; several runs and firms at a time."""
    shares = np.array([0.3, 0.05, 0.25, 0.1, 0.3])
    rng = np.random.default_rng(5)
    inputs = np.exp(rng.normal(size=(5, 4, 3)))
    parameters = {"outer": np.full((4, 1), sigma), "inner": np.linspace(inner, 2.0, 4)[:, None]}
    line = NestedCES("abcde", shares, "outer", nests, parameters)
    made, slopes = line.production(inputs)
    assert made.shape == (4, 3) and slopes.shape == (5, 4, 3)
    slow, slow_slopes = Technology(line.formula, line.inputs, parameters).production(list(inputs))
    np.testing.assert_allclose(made, slow, rtol=1e-13)
    np.testing.assert_allclose(slopes, slow_slopes, rtol=1e-13)
    # Euler: a line of constant returns is the sum of its inputs times their slopes.
    np.testing.assert_allclose((inputs * slopes).sum(axis=0), made, rtol=1e-13)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_an_input_that_is_not_there(sigma):
    """Nothing can be made without it if σ is at most 1; above, the others make (1/2)^r a unit."""
    with np.errstate(all="ignore"):
        made, slopes = NestedCES("ab", np.array([0.5, 0.5]), sigma).production(np.array([0.0, 0.5]))
    assert made == pytest.approx(0.25 if sigma == 2.0 else 0.0, rel=1e-15)
    assert slopes[1] == pytest.approx(0.5 if sigma == 2.0 else 0.0, rel=1e-15)


def test_a_wide_line_in_words():
    line = from_input_output("us-2023").industries[0].technology
    assert line.text() == (
        "ces(111CA, 113FF, 211, ... 69 more; elasticity=substitution_elasticity)"
    )
    (first, *_) = line.marginal_product_texts("y")
    assert first == f"({line.shares[0]:.12g}*y/111CA)**(1/substitution_elasticity)"
    nested = from_input_output(three(), materials_elasticity=1.0).industries[0].technology
    assert nested.text() == (
        "ces(materials: ces(a, c; elasticity=materials_elasticity), primary; "
        "elasticity=substitution_elasticity)"
    )
    assert nested.marginal_product_texts("a")[1] == (
        "(0.4*a/materials)**(1/substitution_elasticity) * "
        "(0.75*materials/c)**(1/materials_elasticity)"
    )
    other = NestedCES(line.inputs, line.shares[::-1], line.elasticity, (), line.parameters)
    assert other.text() == line.text() and other.text(exact=True) != line.text(exact=True)


# --- the economy ----------------------------------------------------------------------------------


def test_what_a_table_becomes():
    economy = from_input_output(three(), firms=4, productivity={"b": 2.0})
    assert [i.good for i in economy.industries] == ["a", "b", "c", "household"]
    assert [i.firms for i in economy.industries] == [4, 4, 4, 1]
    assert economy.industries[1].productivity.tolist() == [2.0] * 4
    assert economy.industries[0].technology.inputs == ("a", "c", "primary")
    assert economy.industries[2].technology.inputs == ("b", "primary")
    assert economy.supply["primary"].quantity == 1.0
    terms = economy.demand["household"]
    assert (terms.price, terms.elasticity, terms.quantity) == (1.0, 1.0, 1.0)
    assert set(economy.reuse.values()) == {"rival"}


def test_labour_and_capital_are_a_unit_together():
    """Shares of each industry's pay add up to its primary share, supplies to 1, to rounding."""
    table = made_up(7, density=0.4)
    economy = from_input_output(table, factors=("labour", "capital"), factor_elasticity=0.5)
    supplies = {name: terms.quantity for name, terms in economy.supply.items()}
    assert supplies.keys() == {"labour", "capital"}
    assert sum(supplies.values()) == pytest.approx(1.0, rel=1e-14)
    pay = {name: table.factors[name] for name in ("compensation", "operating_surplus")}
    for k, industry in enumerate(economy.industries[:-1]):
        line = industry.technology
        of = dict(zip(line.inputs, line.shares, strict=True))
        assert of["labour"] + of["capital"] == pytest.approx(table.primary_shares[k], rel=1e-14)
        ratio = pay["compensation"][k] / pay["operating_surplus"][k]
        assert of["labour"] / of["capital"] == pytest.approx(ratio, rel=1e-13)


def test_an_industry_without_materials_or_without_a_factor():
    """One buys nothing, one has no primary input of its own, one no capital: no such inputs."""
    table = three(
        flows=np.array([[0.0, 2.0, 4.0], [0.0, 0.0, 2.0], [0.0, 8.0, 0.0]]),
        final_use=np.array([4.0, 8.0, 2.0]),
        factors={
            "compensation": np.array([5.0, 0.0, 4.0]),
            "operating_surplus": np.array([5.0, 0.0, 0.0]),
        },
    )
    economy = from_input_output(table, factors=("labour", "capital"), factor_elasticity=0.5)
    inputs = {i.good: i.technology.inputs for i in economy.industries}
    assert inputs["a"] == ("labour", "capital")
    assert inputs["b"] == ("a", "c") and inputs["c"] == ("a", "b", "labour")
    result = market_abm.run(economy, mechanism="trading-post", steps=200)
    assert result.status == "converged"
    np.testing.assert_allclose(result.prices[-1], 1.0, rtol=1e-8)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
@pytest.mark.parametrize("n", [1, 3, 7])
def test_both_engines_move_wide_lines_alike(n, mechanism, activation):
    """Several runs, firms that differ and err, prices heard late: to 1e-12 (test_two_engines)."""
    population = {"firms": 2, "weight_spread": 0.3, "productivity_spread": 0.2, "bid_noise": 0.1}
    economies = [
        from_input_output(
            made_up(n, density=0.6),
            substitution_elasticity=sigma,
            materials_elasticity=0.8,
            population=population,
            population_of={"household": {"firms": 2, "conduct": "cournot"}},
            demand={"household": {"elasticity": 2.0}},
            seed=seed,
        )
        for sigma, seed in ((0.7, 3), (1.0, 4))
    ]
    shares = {"share_rate": 0.05} if mechanism == "unit-bid" else {}
    market = market_settings(
        mechanism=mechanism, activation=activation, bid_rate=0.5, lag=1, **shares
    )
    assert_twins(economies, [market] * 2, [5, 6], 12)


def test_wide_lines_are_what_the_same_lines_in_text_are():
    """A program of ces() calls and the table: the same run, 1e-12; both are on the array engine."""
    table = made_up(3, codes=("a", "b", "c"))
    shares = np.array([*table.shares, table.primary_shares])

    def line(good, names, weights, sigma):
        inputs = ", ".join(f"{n}/{w!r}" for n, w in zip(names, weights, strict=True))
        listed = ", ".join(repr(w) for w in weights)
        return f"{good} = ces({inputs}, elasticity={sigma}, weights=({listed}))"

    goods = ("a", "b", "c", "primary")
    lines = [line(goods[k], goods, shares[:, k].tolist(), 0.7) for k in range(3)]
    lines.append(line("household", goods[:3], table.final_shares.tolist(), 1.0))
    in_text = market_abm.from_text(
        "\n".join(lines),
        {"primary": 1.0},
        {"household": {"price": 1.0, "elasticity": 1.0, "quantity": 1.0}},
    )
    settings = {"mechanism": "trading-post", "engine": "arrays", "steps": 30, "tolerance": 1e-15}
    runs = [
        market_abm.run(economy, **settings)
        for economy in (in_text, from_input_output(table, substitution_elasticity=0.7))
    ]
    for name in ("prices", "quantities", "gradients"):
        np.testing.assert_allclose(*[getattr(run, name) for run in runs], rtol=1e-12)


WRONG_ECONOMIES = {
    "code of household is the name of another good": {
        "table": three(codes=("a", "household", "c"))
    },
    r"code of primary \(Arms\) is the name": {"table": three(codes=("primary", "b", "c"))},
    "factors are 'land'; choose": {"factors": ("land",)},
    "factor_elasticity is 0.5, and there is one factor": {"factor_elasticity": 0.5},
    "substitution_elasticity is 0; without substitution .* such as 0.01": {
        "substitution_elasticity": 0.0
    },
    "materials_elasticity is -1; must be finite and > 0": {"materials_elasticity": -1},
    "has no column 'compensation', the income of labour": {"factors": ("labour", "capital")},
    r"c \(Cars\) has operating_surplus -1; a cost share": {
        "factors": ("labour", "capital"),
        "table": three(
            factors={"compensation": np.ones(3), "operating_surplus": np.array([1.0, 1.0, -1.0])}
        ),
    },
    r"a \(Arms\) pays neither labour nor capital": {
        "factors": ("labour", "capital"),
        "table": three(
            factors={"compensation": np.array([0.0, 1, 1]), "operating_surplus": np.zeros(3)}
        ),
    },
    "min_share is 1.0; must be ≥ 0 and < 1": {"min_share": 1.0},
    r"with min_share = 0.3, a \(Arms\) has no sales; lower": {
        "min_share": 0.3,
        "table": three(
            flows=np.array([[1.0, 4.0, 4.0], [0.0, 0.0, 5.0], [0.0, 5.0, 0.0]]),
            final_use=np.array([0.0, 10.0, 10.0]),
            output=np.array([9.0, 15.0, 15.0]),
        ),
    },
    "industries.d: the program has no such industry": {"productivity": {"d": 2.0}},
}


@pytest.mark.parametrize("message", WRONG_ECONOMIES)
def test_a_wrong_economy_is_refused(message):
    arguments = {"table": three(), **WRONG_ECONOMIES[message]}
    with pytest.raises(MarketError, match=message):
        from_input_output(**arguments)


# --- experiments ----------------------------------------------------------------------------------

FILE = """question = "?"
[economy]
input_output = "flows.csv"
sectors = "sectors.csv"
"""


def written(folder, text=FILE, table=None):
    files(table or three(), folder)
    path = folder / "made-up.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_experiment_reads_tables_beside_it(tmp_path):
    text = (
        FILE
        + """factors = ["primary"]
min_share = 0.15
materials_elasticity = 0.5
parameters = { substitution_elasticity = 0.8 }
[supply]
primary = 2
[industries]
firms = 2
[industries.b]
productivity = 1.5
[market]
mechanism = "trading-post"
[[shocks]]
step = 3
industries.a.productivity = 0.9
economy.parameters.substitution_elasticity = 0.9
"""
    )
    experiment = Experiment.load(written(tmp_path, text))
    economy = experiment.economy
    assert economy.supply["primary"].quantity == 2.0
    assert [i.firms for i in economy.industries] == [2, 2, 2, 1]
    assert economy.industries[1].productivity.tolist() == [1.5, 1.5]
    line = economy.industries[1].technology
    assert line.inputs == ("a", "primary")  # c was 0.1 of its costs
    assert line.shares == pytest.approx([0.3, 0.7])
    assert line.parameters == {"substitution_elasticity": 0.8, "materials_elasticity": 0.5}
    ((step, after),) = experiment.changes
    assert step == 3 and after.industries[0].productivity.tolist() == [0.9, 0.9]
    assert after.industries[0].technology.parameters["substitution_elasticity"] == 0.9


def test_the_configuration_makes_the_same_run_again(tmp_path):
    """All bits of it: the settings in the results are complete."""
    text = FILE + "min_share = 0.15\n[industries.a]\nproductivity = 0.7\n"
    first = market_abm.run(written(tmp_path, text), mechanism="trading-post", steps=9)
    configuration = first.experiment.configuration
    assert configuration["economy"]["parameters"] == {"substitution_elasticity": 1.0}
    settings = {
        f"{table}.{key}": value
        for table, keys in configuration.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
        if value is not None
    }
    source = settings.pop("economy.input_output")
    file = str(tmp_path / "again.toml")
    again = Experiment.parse(f"[economy]\ninput_output = '{source}'", settings=settings, file=file)
    assert np.array_equal(first.prices, market_abm.run(again).prices)


def test_a_sweep_varies_the_elasticity():
    """Two elasticities side by side in the array engine are what each is alone, to 1e-13."""
    from market_abm.market.arrays import ArrayEngine

    table = made_up(3, density=0.7)
    economies = [from_input_output(table, substitution_elasticity=s) for s in (0.8, 1.0, 1.5)]
    market = market_settings(mechanism="trading-post")
    together = ArrayEngine(economies, [market] * 3, [1] * 3)
    alone = [ArrayEngine([economy], [market], [1]) for economy in economies]
    for each in (together, *alone):
        for _ in range(4):
            each.step()
    single = np.concatenate([each.quantities for each in alone])
    np.testing.assert_allclose(together.quantities, single, rtol=1e-13)
    assert np.ptp(single[:, -1]) > 1e-3  # and they do differ


WRONG_EXPERIMENTS = {
    r"made-up\.toml:6: the economy has a program and an input-output table": (
        FILE + "min_share = 0\nprogram = 'y = x'\n"
    ),
    r"made-up\.toml:5: unknown key 'economy\.min_shar'; did you mean 'economy\.min_share'": (
        FILE + "min_shar = 0.1\n"
    ),
    r"made-up\.toml:5: economy\.parameters\.sigma is not a parameter": (
        FILE + "parameters.sigma = 2\n"
    ),
    r"made-up\.toml:5: economy\.parameters is 2; make it a table": FILE + "parameters = 2\n",
    r"made-up\.toml:5: economy\.drop_empty is 'yes'; must be true or false": (
        FILE + "drop_empty = 'yes'\n"
    ),
    r"made-up\.toml:6: substitution_elasticity is 0; without": (
        FILE + "[economy.parameters]\nsubstitution_elasticity = 0\n"
    ),
    r"made-up\.toml:5: materials_elasticity is 0": FILE + "materials_elasticity = 0\n",
    r"made-up\.toml:5: min_share is 1": FILE + "min_share = 1\n",
    r"made-up\.toml:3: there is no table 'flows\.csv'; .* or name two files": FILE.replace(
        'sectors = "sectors.csv"', ""
    ),
    r"made-up\.toml:3: cannot read the file '.*folks\.csv'": FILE.replace("flows", "folks"),
    r"made-up\.toml:5: supply\.labour: no line uses a good 'labour'": (
        FILE + "[supply.labour]\nquantity = 1\n"
    ),
}


@pytest.mark.parametrize("message", WRONG_EXPERIMENTS)
def test_a_wrong_experiment_is_refused(message, tmp_path):
    with pytest.raises(MarketError, match=message):
        Experiment.load(written(tmp_path, WRONG_EXPERIMENTS[message]))


def test_a_mistake_in_a_table_is_told_with_its_own_file_and_line(tmp_path):
    path = written(tmp_path)
    files(three(), tmp_path, flows=HEAD + "a,1,2,0\nb,0,?,2\nc,3,1,0\n")
    with pytest.raises(TableError, match=r"^\S*flows\.csv:3: b: '\?' is not a number"):
        Experiment.load(path)


def test_words_may_be_left_out_only_where_they_may():
    with pytest.raises(SettingError, match="economy.input_output is 3; must be text"):
        Experiment.parse("[economy]\ninput_output = 3")
    assert math.isclose(read_table("us-2023").final_shares.sum(), 1.0, rel_tol=1e-15)
