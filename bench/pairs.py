"""Pairs of answers about which something is known: flags of real files that are wrong, and hostile answers."""

from data.records import Outcome

Pair = tuple[str, str]

# Flags that are the other way round, each read, with the reason.
WRONG_FLAGS: dict[str, tuple[Pair, ...]] = {
    "4 sin 80 - tan 80 (degrees) is -sqrt 3": (
        (r"4 \sin 80^\circ - \tan 80^\circ", r"-\sqrt{3}"),
        (r"\frac{\sin 80^\circ (4 \cos 80^\circ - 1)}{\cos 80^\circ}", r"-\sqrt{3}"),
    ),
    "the same number in scientific notation": (
        (r"4.5\times10^{33}", "4.5e33"),
        (r"3.83\times10^{35}", "3.83e35"),
        (r"6\times10^{13}", "6e13"),
        (r"10^{-8}", "1e-8"),
        (r"3\times10^8", "3e8"),
        (r"3\times10^{8}", "3e8"),
        (r"1.87\times10^6", "1.87e6"),
        (r"9\times10^{11}", "9e11"),
        (r"7.26\times10^6", "7.26e6"),
        (r"1.24\times10^{-8}", "1.24e-8"),
        (r"2.55\times10^{-10}", "2.55e-10"),
        (r"2.45\times10^{6}", "2.45e6"),
        (r"6.5\times10^{-2}", "6.5e-2"),
        (r"1.325\times10^{-27}", "1.325e-27"),
        (r"1\times10^{-5}", "1e-5"),
    ),
    "the same expression, or the same number with its unit": (
        (r"\frac{v_{0}}{r_{0}(1+\frac{r}{r_{0}})^{3/2}}", r"\frac{v_{0}}{r_{0}}\frac{1}{(1+r/r_{0})^{3/2}}"),
        (r"36\mathrm{mL}", "36"),
    ),
    "an inequality and the interval that it names": (("k<-5", r"(-\infty,-5)"),),
    "another number, or one item of several": (
        ("3.04", "0.0304"),
        ("1000", "10"),
        ("10000", "100"),
        ("40.8", "4080"),
        ("8164964", "8164961"),
        ("15", r"\frac{3}{2}"),
        ("0", r"0,-1,-\frac{3}{2}"),
        (r"\frac{1}{3},1,\frac{1}{3}", r"\frac{1}{3},1,9"),
        (r"\frac{1}{3},\frac{1}{9},\frac{1}{27}", r"\frac{1}{3},1,\frac{1}{9}"),
        (
            r"\frac{\pi}{6},\frac{\pi}{2},\frac{5\pi}{6}",
            r"\frac{1}{6}\pi,\frac{5}{6}\pi,\frac{1}{4}\pi,\frac{3}{4}\pi",
        ),
    ),
}

# Answer, gold, and the one decision that is right.
HOSTILE: tuple[tuple[str, str, Outcome], ...] = (
    ("9^{9^{9^9}}", "5", "different"),
    ("((((2^{64})^{64})^{64})^{64})^{64}", "5", "different"),
    ("300!^{300}", "5", "different"),
    ("10000000!", "5", "different"),
    ("e^{e^{e^{e^9}}}", "5", "different"),
    ("(a+b+c+d+e+f)^{64}", "5", "different"),
    (r"\frac{" * 20_000 + "1" + "}{2}" * 20_000, "5", "different"),
    ("x+" * 50_000, "5", "different"),
    ("(" * 10_000 + "1" + ")" * 10_000, "5", "different"),
    ("{" * 10_000 + "1" + "}" * 10_000, "5", "different"),
    (r"\sqrt{" * 100 + "2" + "}" * 100, "5", "different"),
    (r"\{" * 300, "5", "different"),
    ("1," * 290 + "1", r"\{2,3\}", "different"),
    ("__import__('os').system('exit 1')", "5", "different"),
    ("exec('x'*10**9)", "5", "different"),
    ("9" * 100_000, "5", "different"),
    ("9" * 1_500, "5", "different"),
    ("9" * 400 + "1", "9" * 400 + "2", "different"),
    ("0." + "3" * 1_000, r"\frac{1}{2}", "different"),
    ("0." + "3" * 500 + "4", r"\frac{1}{2}", "different"),
    ("1e999", "5", "different"),
    ("1e999999999", "5", "different"),
    ("5\u200b", "5", "equal"),
    ("1\u20602", "12", "equal"),
    ("\u0665", "5", "equal"),
    ("NaN", "5", "different"),
    ("inf", "5", "different"),
    ("-Infinity", r"\infty", "different"),
    (r"\infty-\infty", "0", "different"),
    (r"\frac{1}{0}", r"\infty", "different"),
    ("0/0", "0", "different"),
    ("5\x00", "6", "different"),
    ("\ud800", "5", "different"),
)
