module chronik.test/clients

go 1.24
