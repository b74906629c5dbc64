"""Greets whoever the query string names: /e/hello-python?name=Ada"""


def handler(event, context):
    name = event.get("queryStringParameters", {}).get("name", "world")
    print(f"greeting {name}")
    return {"message": f"Hello, {name}, from Python!", "invocation": context.aws_request_id}
