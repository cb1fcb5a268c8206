"""The Track API of Customer.io: a path, what is asked, the messages it becomes."""
