# Says back, in capitals, what it was sent: curl --data 'some text' …/e/hello-bash
body=$(cat)
echo "Hello from Bash! You said: ${body^^}"
