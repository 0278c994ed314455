"""How is the gateway seen and steered from outside its data path?

`view` is what it needs of the application, `server` the endpoints, `guard` who may use them, `answers` their
form; `figures` are pools as JSON, `overview` all of it in one document, `live` the same as a stream; `files`
serves the console, `page` the list of endpoints for a browser.
"""
