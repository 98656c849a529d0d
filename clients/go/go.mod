module eventstreamcore/clients/go

go 1.19
