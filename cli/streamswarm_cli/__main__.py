from streamswarm_cli.main import main

main()
