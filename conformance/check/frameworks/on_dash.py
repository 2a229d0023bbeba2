"""A Dash application: a page of Flask with its own scripts, and a callback."""

import dash
from dash import Input, Output, dcc, html

dashboard = dash.Dash(__name__)
dashboard.layout = html.Div([dcc.Input(id="name", value="nobody"), html.P(id="text")])


@dashboard.callback(Output("text", "children"), Input("name", "value"))
def greet(name):
    return f"hello {name}"


app = dashboard.server
