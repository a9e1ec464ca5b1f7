module crossdock.test/host

go 1.21
