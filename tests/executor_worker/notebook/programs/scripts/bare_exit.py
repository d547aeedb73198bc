print('done')
exit()
