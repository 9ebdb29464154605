# Run by tools/adbd/build in the root of the source package. SYSROOT holds the -dev packages, LIBRARIES the folder of Debian's Android libraries.
HERE := $(dir $(lastword $(MAKEFILE_LIST)))
O := out
C := system/core
ADB := adb.cpp adb_io.cpp adb_listeners.cpp adb_trace.cpp adb_unique_fd.cpp adb_utils.cpp \
 fdevent/fdevent.cpp fdevent/fdevent_poll.cpp fdevent/fdevent_epoll.cpp services.cpp sockets.cpp socket_spec.cpp \
 sysdeps/errno.cpp transport.cpp transport_fd.cpp transport_local.cpp transport_usb.cpp types.cpp \
 sysdeps_unix.cpp sysdeps/posix/network.cpp \
 daemon/auth.cpp daemon/jdwp_service.cpp daemon/usb_dummy.cpp daemon/file_sync_service.cpp \
 daemon/services.cpp daemon/shell_service.cpp shell_service_protocol.cpp daemon/main.cpp \
 adbconnection/adbconnection_server.cpp
SRC := $(addprefix $(C)/adb/,$(ADB)) $(C)/diagnose_usb/diagnose_usb.cpp frameworks/native/libs/adbd_auth/adbd_auth.cpp props.cpp
OBJ := $(SRC:%.cpp=$(O)/%.o) $(O)/$(C)/libcrypto_utils/android_pubkey.o
FLAGS := -O1 -w -D_GNU_SOURCE -DADB_HOST=0 -DALLOW_ADBD_ROOT=1 -DALLOW_ADBD_NO_AUTH -DALLOW_ADBD_DISABLE_VERITY \
 -DADB_VERSION='"29.0.6-test"' -DPLATFORM_TOOLS_VERSION='"29.0.6"' \
 -I$(C)/adb -I$(C)/adb/daemon/include -I$(C)/adb/adbconnection/include -I$(C)/base/include -I$(C)/include -I$(C)/liblog/include \
 -I$(C)/libcutils/include -I$(C)/diagnose_usb/include -I$(C)/libcrypto_utils/include -Iframeworks/native/libs/adbd_auth/include \
 -I$(C)/libasyncio/include -I$(SYSROOT)/usr/include/android -isystem $(SYSROOT)/usr/include
LINK := -L$(LIBRARIES) -Wl,-rpath=$(LIBRARIES) -l:libbase.so.0 -l:libcutils.so.0 -l:liblog.so.0 -l:libcrypto.so.0 -lresolv -lutil -lpthread
$(O)/adbd: $(OBJ)
	g++ -o $@ $^ $(LINK)
$(O)/%.o: %.cpp
	@mkdir -p $(@D)
	g++ -c -o $@ $< -std=gnu++2a -fno-exceptions $(FLAGS) -include $(HERE)compat.h
$(O)/%.o: %.c
	@mkdir -p $(@D)
	gcc -c -o $@ $< $(FLAGS)
