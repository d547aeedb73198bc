/** Programs to begin with. */

const script = `# Ctrl+Enter runs this.
def primes(limit):
    sieve = [True] * (limit + 1)
    for n in range(2, limit + 1):
        if sieve[n]:
            yield n
            for multiple in range(n * n, limit + 1, n):
                sieve[multiple] = False


print("Primes below 50:", *primes(50))
print("How many below 100 000?", sum(1 for _ in primes(100_000)))
`;

const input = `# Reads from the input field below the editor: a name, then numbers.
import sys

name = input()
numbers = [int(word) for line in sys.stdin for word in line.split()]

print(f"Hello, {name}!")
print(f"{len(numbers)} numbers, their sum is {sum(numbers)}.")
`;

const notebook = `import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    return mo, np, pd, plt


@app.cell
def title(mo):
    mo.md("# Two waves\\n\\nThe **second** is twice as fast as the first.")
    return


@app.cell
def table(np, pd):
    x = np.linspace(0, 6.28, 200)
    waves = pd.DataFrame({"x": x, "slow": np.sin(x), "fast": np.sin(2 * x)})
    waves.describe().round(2)
    return (waves,)


@app.cell
def plot(plt, waves):
    figure, axes = plt.subplots(figsize=(6, 2.6))
    axes.plot(waves["x"], waves["slow"], label="slow")
    axes.plot(waves["x"], waves["fast"], label="fast")
    axes.legend()
    figure
    return


if __name__ == "__main__":
    app.run()
`;

const error = `import marimo

app = marimo.App()


@app.cell
def marks():
    marks = {"Ada": [5, 4, 5], "Alan": [5, 5], "Grace": []}
    return (marks,)


@app.cell
def average(marks):
    # Grace has no marks yet: which line is at fault?
    averages = {name: sum(given) / len(given) for name, given in marks.items()}
    return (averages,)


@app.cell
def best(averages):
    print("Best:", max(averages, key=averages.get))
    return


@app.cell
def independent(marks):
    print("This cell does not need the average, so it runs:", len(marks), "students")
    return


if __name__ == "__main__":
    app.run()
`;

export const EXAMPLES = [
  { label: "exampleScript", source: script, stdin: "" },
  { label: "exampleInput", source: input, stdin: "Ada\n3 4 5\n30\n" },
  { label: "exampleNotebook", source: notebook, stdin: "" },
  { label: "exampleError", source: error, stdin: "" },
];
