// Greets whoever the query string names: /e/hello-node?name=Ada
export const handler = async (event, context) => {
  const name = event.queryStringParameters?.name ?? 'world';
  console.log(`greeting ${name}`);
  return { message: `Hello, ${name}, from Node.js!`, invocation: context.awsRequestId };
};
