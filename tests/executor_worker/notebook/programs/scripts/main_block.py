def main():
    print('in main')

if __name__ == '__main__':
    x = 1
    main()
    print(x)
