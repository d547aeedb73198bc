import marimo

app = marimo.App()


@app.cell
def _():
    import matplotlib.pyplot as plt
    import pandas as pd

    return pd, plt


@app.cell
def _(pd):
    rain = pd.DataFrame({"month": ["Jan", "Feb", "Mar", "Apr"], "mm": [51, 38, 44, 62]})
    rain
    return (rain,)


@app.cell
def _(rain):
    print("wettest:", rain.loc[rain["mm"].idxmax(), "month"])
    return


@app.cell
def _(plt, rain):
    figure, axes = plt.subplots(figsize=(4, 2.5))
    axes.bar(rain["month"], rain["mm"])
    axes.set_ylabel("rain, mm")
    figure
    return


if __name__ == "__main__":
    app.run()
