"""How is the gateway seen and steered from outside its data path?

`view` is what it needs of the application, `server` the endpoints, `figures` pools as JSON, `page` the list
of endpoints for a browser.
"""
